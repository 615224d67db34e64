"""Seconds of fsim beside seconds that were measured: docs/validation.md, by its own program.

``python -m benchmarks.validation`` prints the page in Markdown, from the measurements in
``benchmarks/measured``; ``--json FILE`` writes the errors as well. What is measured ends with the
server's reply at the client, half a round trip after the last byte arrived; so that is added to
what fsim says, unless said otherwise.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import simpy

from benchmarks.measurements import (
    MBIT,
    MEASURED,
    WAY,
    Section,
    amount,
    grouped,
    link_of,
    medians,
    read,
    read_cubic,
)
from benchmarks.reporting import command_line, save
from benchmarks.validation_losses import goodputs, losses, simulated_losses
from benchmarks.validation_queue import queues
from fsim.fleet import AlwaysOn, Link
from fsim.network import Capacity, Opening, Tcp
from fsim.network.transports.connection import Connection
from fsim.simulation.shared_links import SharedLinks
from fsim.simulation.transfer import Route

FRAMING = 450.0
"""Bytes that Flower's gRPC puts around a payload."""


def cold() -> Section:
    """Uploads on fresh connections."""
    section = Section(
        "One upload on a fresh connection",
        "Seconds, medians of 1 to 5 runs; `tcp` is compared with CUBIC on sockets.",
        ("Mbit/s", "round trip", "payload", "CUBIC", "BBR", "ns-3 Cubic", "`tcp`"),
    )
    simulated = grouped(read("ns3_cold.csv"), WAY)
    for key, rows in grouped(read("cold.csv"), WAY).items():
        measured = {row["congestion_control"]: float(row["median_s"]) for row in rows}
        if "cubic" not in measured:
            continue
        link, round_trip = link_of(rows[0])
        seconds = Tcp().finish_time(link, int(key[2]), 0, round_trip) + round_trip / 2
        third = {row["tcp"]: row["seconds"] for row in simulated.get(key, [])}
        section.rows.append((
            f"{float(key[0]):g}", f"{key[1]} ms", amount(key[2]), f"{measured['cubic']:.3f}",
            f"{measured['bbr']:.3f}" if "bbr" in measured else "-",
            f"{float(third['Cubic']):.3f}" if "Cubic" in third else "-",
            section.compare(seconds, measured["cubic"]),
        ))  # fmt: skip
    return section


def tls() -> Section:
    """Uploads after a handshake of TLS."""
    section = Section(
        "TLS",
        "Seconds on a fresh connection at 80 ms, CUBIC, the least of 3 runs (of 1 without TLS), "
        "for the machine was busy; `tcp` with `tls`.",
        ("Mbit/s", "payload", "`tls`", "measured", "`tcp`"),
    )
    for row in read_cubic("tls.csv"):
        link, round_trip = link_of(row)
        transport = Tcp(tls=row["tls"])  # type: ignore[arg-type]
        seconds = transport.finish_time(link, int(row["payload_bytes"]), 0, round_trip)
        section.rows.append((
            f"{float(row['rate_mbit']):g}", amount(row["payload_bytes"]), row["tls"],
            f"{float(row['min_s']):.3f}",
            section.compare(seconds + round_trip / 2, float(row["min_s"])),
        ))  # fmt: skip
    return section


IDLE = {"again_at_once_s": 0.0, "after_50ms_s": 0.05, "after_5s_idle_s": 5.0}
"""Column -> seconds that a connection was idle."""


def warm() -> Section:
    """Uploads on a connection that has carried 150 kB."""
    section = Section(
        "A connection that is kept",
        "150 kB first, then the payload again: at once, 50 ms and 5 s later; 80 ms, CUBIC, one "
        "run. Measured / `tcp`.",
        ("Mbit/s", "payload", "at once", "after 50 ms", "after 5 s"),
    )
    tcp = Tcp()
    for row in read_cubic("warm.csv"):
        link, round_trip = link_of(row)
        size, cells = int(row["payload_bytes"]), []
        for column, idle in IDLE.items():
            connection = Connection()
            arrived, window = tcp.end(link, tcp.pace(150_000, round_trip), 0, round_trip)
            connection.use("up", arrived - round_trip / 2, window)
            now = arrived + round_trip / 2 + idle
            opening = Opening(connection.window("up", now, round_trip, restarts=True))
            seconds = tcp.finish_time(link, size, now, round_trip, opening) - now + round_trip / 2
            measured = float(row[column])
            cells.append(f"{measured:.3f} / {section.compare(seconds, measured)}")
        section.rows.append((f"{float(row['rate_mbit']):g}", amount(row["payload_bytes"]), *cells))
    return section


def flower() -> Section:
    """Rounds of Flower."""
    section = Section(
        "Rounds of Flower",
        "20 Mbit/s, 80 ms, one gRPC stream, 2.5 s between rounds: from the client's return of "
        f"`fit` to the server's `aggregate_fit`. `tcp` with `framing: {FRAMING:g} B`, to the last "
        "byte's arrival.",
        ("payload", "measured", "`tcp`"),
    )
    for row in read("flower.csv"):
        link, round_trip = link_of(row)
        idle = Opening(Connection().window("up", 0.0, round_trip, restarts=True))
        size, measured = int(row["payload_bytes"]), float(row["upload_s_fit_return_to_aggregate"])
        seconds = Tcp(framing=FRAMING).finish_time(link, size, 0, round_trip, idle)
        section.rows.append(
            (amount(row["payload_bytes"]), f"{measured:.3f}", section.compare(seconds, measured))
        )
    return section


def last_finish(flows: Sequence[tuple[float, int]], shared: Capacity, round_trip: float) -> float:
    """Time at which the last of some uploads over one link has arrived, seconds.

    Parameters
    ----------
    flows
        Start (s) and payload bytes of each, every client's own link being as fast as the shared.
    """
    env = simpy.Environment()
    route = Route(env, Tcp(), "resume", SharedLinks(env, [shared]))

    def upload(start: float, size: int) -> Any:
        yield env.timeout(start)
        yield from route.transfer(size, Link(shared, round_trip, path=(0,)), AlwaysOn())

    for start, size in flows:
        env.process(upload(start, size))
    env.run()
    return float(env.now)


def shared() -> Section:
    """Uploads over one link."""
    section = Section(
        "Uploads that share a link",
        "The last of all acknowledged, seconds from the first's `connect`; CUBIC, the median of "
        "the runs.",
        ("Mbit/s", "round trip", "uploads", "measured", "`tcp`"),
    )
    for row in read_cubic("shared.csv"):
        flows = [(start, int(size)) for start, size in json.loads(row["flows_start_s_and_bytes"])]
        runs = json.loads(row["seconds_of_each_flow_by_run"])
        starts = [start for start, _ in flows]
        measured = statistics.median(max(np.add(run, starts)) for run in runs)
        link, round_trip = link_of(row)
        seconds = last_finish(flows, link, round_trip) + round_trip / 2
        sizes = [f"{amount(str(size))} at {start:g} s" for start, size in flows]
        text = f"{len(flows)} x {sizes[0]}" if len(set(sizes)) == 1 else ", ".join(sizes)
        section.rows.append((
            f"{float(row['rate_mbit']):g}", f"{row['round_trip_ms']} ms", text, f"{measured:.3f}",
            section.compare(seconds, measured),
        ))  # fmt: skip
    return section


def steps() -> Section:
    """Uploads over a capacity that changes."""
    section = Section(
        "A capacity that changes",
        "Seconds of one upload, 80 ms, medians; those of the first three rows until the reply, of "
        "the others until the last byte arrives. `tcp` doubles with each round trip into a rise, "
        "as Reno does; Linux's CUBIC has left slow start by then where a queue has grown before "
        "it, and takes longer. Compared with CUBIC.",
        ("Mbit/s from second", "payload", "CUBIC", "BBR", "Reno", "`tcp`"),
    )
    columns = ("profile_s_and_bits_per_s", "round_trip_ms", "payload_bytes")
    for name, reply in (("steps.csv", 0.5), ("rises.csv", 0.0)):
        for key, rows in grouped(read(name), columns).items():
            profile = json.loads(key[0])
            link = Capacity(*zip(*((start, rate / 8) for start, rate in profile), strict=True))
            measured = medians(rows)
            round_trip = float(key[1]) / 1e3
            seconds = Tcp().finish_time(link, int(key[2]), 0, round_trip) + reply * round_trip
            changes = [f"{rate / 1e6:g} from {start:g}" for start, rate in profile]
            text = f"{', '.join(changes[:4])}, ..." if len(changes) > 4 else ", ".join(changes)
            seen = (measured.get(name) for name in ("cubic", "bbr", "reno"))
            section.rows.append((
                text, amount(key[2]), *("-" if each is None else f"{each:.3f}" for each in seen),
                section.compare(seconds, measured["cubic"]),
            ))  # fmt: skip
    return section


def fast() -> Section:
    """Uploads at 100 Mbit/s."""
    section = Section(
        "One upload at 100 Mbit/s",
        "Medians of 5 runs, seconds until the last byte arrives, a queue of rate x round trip; "
        "compared with CUBIC.",
        ("round trip", "payload", "CUBIC", "BBR", "`tcp`"),
    )
    for key, rows in grouped(read("fast.csv"), ("round_trip_ms", "payload_bytes")).items():
        measured = medians(rows)
        link = Capacity.constant(100 * MBIT)
        seconds = Tcp().finish_time(link, int(key[1]), 0, float(key[0]) / 1e3)
        section.rows.append((
            f"{key[0]} ms", amount(key[1]), f"{measured['cubic']:.3f}", f"{measured['bbr']:.3f}",
            section.compare(seconds, measured["cubic"]),
        ))  # fmt: skip
    return section


def twin() -> Section:
    """Recorded runs that were played over sockets."""
    told = json.loads((MEASURED / "twin.json").read_text(encoding="utf-8"))
    errors = "; ".join(
        f"{over}, {each['rounds']:.0f} rounds of {each['runs']:.0f} runs: a round "
        f"{each['error_of_a_round_median']:.1%} off in the median and "
        f"{each['error_of_a_round_95th_percentile']:.1%} at the 95th percentile, the sum over a "
        f"run's rounds {each['error_of_a_sum_median']:.1%} in the median and "
        f"{each['error_of_a_sum_largest']:.1%} at the most"
        for over, each in told["figures"].items()
    )
    section = Section(
        "Recorded runs, played over sockets",
        f"`python -m benchmarks.sockets`: runs drawn from seed {told['seed']}: policies, sizes, "
        "links, doors and protocols. The payloads that fsim recorded were sent by processes in "
        "network namespaces, computing left out on both sides: over TCP and TLS 1.3, the server's "
        "door serving its clients in turn; over TCP through a door of one queue for all (FIFO), "
        "with fsim's `ingress_queue` and `egress_queue`; and by a server and clients of Flower, "
        f"the runs whose rounds wait for all. {errors}. Below: seconds of all rounds of a run, "
        "medians of the repetitions; spread is the largest difference between repetitions of one "
        "round.",
        ("run", "over", "rounds", "sockets", "spread", "fsim"),
    )
    for run in told["rounds_by_run"]:
        measured = np.median(run["measured_s"], axis=0)
        spread = float(np.ptp(run["measured_s"], axis=0).max())
        section.rows.append((
            run["run"], run["over"], str(len(measured)), f"{measured.sum():.2f}", f"{spread:.3f}",
            section.compare(sum(run["simulated_s"]), float(measured.sum())),
        ))  # fmt: skip
    return section


SECTIONS = (
    twin, cold, fast, tls, warm, flower, shared, queues, steps, losses, simulated_losses, goodputs,
)  # fmt: skip

BEGINNING = """# Seconds beside measured ones

Made by `python -m benchmarks.validation`, from the measurements in `benchmarks/measured`: Linux
sockets over shaped links, rounds of Flower, ns-3; how they were made stands there. In brackets: how
far fsim is from what was measured; ** marks what is off by more than 10% and by more than the 15 ms
of noise that the measurements have.
"""


def page() -> tuple[str, dict[str, list[tuple[float, float]]]]:
    """The page, and the seconds of fsim and measured by section."""
    sections = [make() for make in SECTIONS]
    lines = [BEGINNING, *(line for section in sections for line in section.text_lines())]
    return "\n".join(lines), {section.title: section.errors for section in sections}


def main() -> None:
    """Print the page."""
    parser = command_line("benchmarks.validation", str(__doc__), "nothing: it takes a second")
    arguments = parser.parse_args()
    text, errors = page()
    print(text, end="")
    save(errors, arguments.json)


if __name__ == "__main__":
    main()
