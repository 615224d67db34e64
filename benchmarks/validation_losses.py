"""Seconds of fsim beside seconds that were measured under random loss."""

from __future__ import annotations

import statistics
from functools import partial
from typing import Literal

import numpy as np

from benchmarks.measurements import MBIT, Section, amount, grouped, read
from fsim.network import Arq, Capacity, Datagram, Opening, Tcp, Transport

GOODPUTS: dict[float, dict[Literal["cubic", "reno", "bbr"], str]] = {
    0.01: {"cubic": "2.86", "reno": "1.61", "bbr": "9.2"},
    0.02: {"cubic": "0.8-1.5", "reno": "1.0-1.2", "bbr": "7.5-8.5"},
    0.05: {"cubic": "0.6-1.2", "reno": "1.0-1.2", "bbr": "4.2-4.6"},
    0.10: {"cubic": "0.7-1.6", "reno": "0.6-0.7", "bbr": "1.1-2.4"},
    0.20: {"cubic": "0.2-1.6", "reno": "0.2-0.3", "bbr": "1.2-1.3"},
}
"""Loss -> Mbit/s measured by congestion control; one or two runs each. 20 Mbit/s, 80 ms."""


def mean_under_loss(tcp: Tcp, size: int, runs: int = 400) -> float:
    """Mean seconds of an upload at 20 Mbit/s and 80 ms whose losses are drawn anew each time."""
    link, seconds = Capacity.constant(20 * MBIT), []
    for run in range(runs):
        losses = tcp.draw_losses(partial(lambda *keys: np.random.default_rng(keys), run))
        seconds.append(tcp.finish_time(link, size, 0, 0.08, Opening(losses=losses)))
    return statistics.fmean(seconds)


def losses() -> Section:
    """Uploads under random loss, on sockets."""
    section = Section(
        "Random loss, one upload",
        "20 Mbit/s and 80 ms, seconds until the last byte arrives over a new connection, in the "
        "mean over 8 to 40 uploads and the standard error of that; `tcp` in the mean over 400 "
        "draws. One upload that loses its first packet waits a second for it, so that one such "
        "more or less among 40 moves the means of small payloads by 15%.",
        ("loss", "payload", "CUBIC", "`tcp`", "Reno", "`congestion: reno`", "BBR",
         "`congestion: bbr`"),
    )  # fmt: skip
    for key, rows in grouped(read("loss.csv"), ("loss", "payload_bytes")).items():
        cells = []
        by_control = {row["congestion_control"]: row for row in rows}
        for name in ("cubic", "reno", "bbr"):
            mean, error = (float(by_control[name][key]) for key in ("mean_s", "standard_error_s"))
            seconds = mean_under_loss(Tcp(float(key[0]), congestion=name), int(key[1]))
            cells += [f"{mean:.3f} ± {error:.3f}", section.compare(seconds, mean)]
        section.rows.append((f"{float(key[0]):.0%}", amount(key[1]), *cells))
    return section


def simulated_losses() -> Section:
    """Uploads under random loss, in ns-3."""
    section = Section(
        "Random loss in another simulator",
        "ns-3, 20 Mbit/s and 80 ms, seconds until the reply in the mean over 4 to 15 seeds; "
        "compared with LinuxReno. Its 2 MB at 1% go at 3.5 Mbit/s, where Linux's own Reno goes at "
        "2.1 (the table above).",
        ("loss", "payload", "LinuxReno", "Cubic", "Bbr", "`congestion: reno`"),
    )
    for key, rows in grouped(read("ns3_loss.csv"), ("loss", "payload_bytes")).items():
        mean = {row["tcp"]: float(row["mean_s"]) for row in rows}
        seconds = mean_under_loss(Tcp(float(key[0]), congestion="reno"), int(key[1])) + 0.04
        names = ("LinuxReno", "Cubic", "Bbr")
        cells = [f"{mean[name]:.3f}" if name in mean else "-" for name in names]
        cells.append(section.compare(seconds, mean["LinuxReno"]))
        section.rows.append((f"{float(key[0]):.1%}", amount(key[1]), *cells))
    return section


def goodput(transport: Transport) -> str:
    """Mbit/s of a payload so large that its beginning does not matter."""
    size = 20_000_000
    seconds = transport.finish_time(Capacity.constant(20 * MBIT), size, 0, 0.08)
    return f"{size * 8 / seconds / 1e6:.2f}"


def goodputs() -> Section:
    """Goodput of transfers without end under random loss."""
    section = Section(
        "Random loss, a transfer without end",
        "Goodput in Mbit/s, 20 Mbit/s and 80 ms; measured in one or two runs each, and noisy "
        "(BBR's by another emulator than the tables above, where 10 MB at 1% went at 17 Mbit/s). "
        "fsim's of 20 MB with losses at their mean distance.",
        ("loss", "CUBIC", "`tcp`", "Reno", "`congestion: reno`", "BBR", "`congestion: bbr`",
         "`arq`", "`datagram`, share that arrives"),
    )  # fmt: skip
    for loss, measured in GOODPUTS.items():
        cells = []
        for name, text in measured.items():
            cells += [text, goodput(Tcp(loss, "even", congestion=name))]
        cells += [goodput(Arq(loss)), f"{goodput(Datagram(loss))}, {1 - loss:.0%}"]
        section.rows.append((f"{loss:.0%}", *cells))
    return section
