"""What the transports say beside measurements on Linux sockets over a rate-shaped link."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from fsim.network import Arq, Capacity, Datagram, Fluid, Reno, Tcp, Transport
from fsim.network.transports.congestion import mathis, pftk
from fsim.network.transports.packets import SEGMENT_PAYLOAD

MBIT = 1e6 / 8

LINK = Capacity.constant(20 * MBIT)
ROUND_TRIP = 0.08

UPLOADS: dict[int, tuple[float, float | None]] = {
    30_000: (0.25, 0.246),
    100_000: (0.41, 0.343),
    300_000: (0.52, 0.514),
    1_000_000: (0.82, 0.804),
    3_000_000: (1.65, 1.633),
    10_000_000: (4.61, 4.534),
}
"""Payload -> seconds measured (CUBIC, from connect to the last byte acknowledged), and of the slow
start formula as worked out independently. 20 Mbit/s, 80 ms, no loss."""

SLOWER: dict[float, tuple[float, float]] = {0.04: (10.44, 10.46), 0.08: (10.56, 10.85)}
"""Round trip -> seconds of 5 MB over 4 Mbit/s measured with CUBIC and with BBR."""

GOODPUTS: dict[float, tuple[str, str, str]] = {
    0.01: ("1.61", "2.86", "9.2"),
    0.02: ("1.0-1.2", "0.8-1.5", "7.5-8.5"),
    0.05: ("1.0-1.2", "0.6-1.2", "4.2-4.6"),
    0.10: ("0.6-0.7", "0.7-1.6", "1.1-2.4"),
    0.20: ("0.2-0.3", "0.2-1.6", "1.2-1.3"),
}
"""Loss -> Mbit/s measured with Reno, CUBIC, BBR; one or two runs each. 20 Mbit/s, 80 ms."""


def off(found: float, measured: float) -> str:
    """How far a model is from a measurement."""
    return f"{found:.3f} ({found / measured - 1:+.0%})"


def goodput(transport: Transport) -> float:
    """Mbit/s of a payload so large that its beginning does not matter."""
    size = 1_000_000_000
    return size * 8 / transport.finish_time(LINK, size, 0, ROUND_TRIP) / 1e6


def uploads() -> Table:
    """Seconds of uploads without loss."""
    table = Table(title="20 Mbit/s, 80 ms, no loss: seconds")
    for heading in ("payload", "measured", "formula", "fsim tcp", "fsim fluid"):
        table.add_column(heading)
    for size, (measured, formula) in UPLOADS.items():
        found = [kind.finish_time(LINK, size, 0, ROUND_TRIP) for kind in (Tcp(), Fluid())]
        table.add_row(
            f"{size // 1000} kB", f"{measured}", f"{formula}", *(off(s, measured) for s in found)
        )
    return table


def slower() -> Table:
    """Seconds of an upload over a slower link."""
    table = Table(title="5 MB over 4 Mbit/s: seconds")
    for heading in ("round trip", "measured CUBIC", "measured BBR", "fsim tcp"):
        table.add_column(heading)
    for round_trip, (cubic, bbr) in SLOWER.items():
        found = Tcp().finish_time(Capacity.constant(4 * MBIT), 5_000_000, 0, round_trip)
        table.add_row(f"{round_trip * 1000:.0f} ms", f"{cubic}", f"{bbr}", off(found, cubic))
    return table


def losses() -> Table:
    """Goodput under loss."""
    table = Table(title="20 Mbit/s, 80 ms, random loss: goodput in Mbit/s")
    headings = ("loss", "Reno", "CUBIC", "BBR", "Mathis", "fsim reno", "PFTK", "fsim reno pftk",
                "fsim arq", "fsim datagram, share that arrives")  # fmt: skip
    for heading in headings:
        table.add_column(heading)
    for loss, measured in GOODPUTS.items():
        rates = [
            mathis(SEGMENT_PAYLOAD, loss, ROUND_TRIP) * 8 / 1e6,
            goodput(Reno(loss)),
            pftk(SEGMENT_PAYLOAD, loss, ROUND_TRIP) * 8 / 1e6,
            goodput(Reno(loss, "pftk")),
            goodput(Arq(loss)),
        ]
        arrives = f"{goodput(Datagram(loss)):.1f}, {1 - loss:.0%}"
        table.add_row(f"{loss:.0%}", *measured, *(f"{rate:.2f}" for rate in rates), arrives)
    return table


def print_tables(console: Console) -> None:
    """All of them."""
    for table in (uploads(), slower(), losses()):
        console.print(table)
