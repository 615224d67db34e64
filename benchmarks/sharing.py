"""What it costs to share a link among very many uploads, and what re-sharing it all would cost.

    python -m benchmarks.sharing
    python -m benchmarks.sharing --quick --json sharing.json

Three sides work out the same finish times. ``fsim`` is ``SharedLink``; ``refill`` works out all
rates anew at every event, with numpy (``SharedNetwork``, which is made for several links);
``loops`` does so with plain loops, as a first attempt would. They take turns, so that whatever else
the machine does falls on all of them. The finish times are compared as well: if they
differ, the program ends with status 1.

Only the sharing is timed, from the flows as objects to their finish times, on one core.

How seconds grow says as much about caches as about the method, so there is a yardstick: as many
replacements in a bare ``heapq`` as there were events, an entry for each flow being in it. That is
n log n with nothing else around it, on the same machine in the same turns.

The door is a round on the clock: ten thousand uploads of 50 kB begun at once through a server's
link of 100 Mbit/s, by ``tcp`` (every flight a flow of its own) and ``fluid``. Status 1 if it takes
10 s or more.
"""

from __future__ import annotations

import heapq
import math
import platform
import statistics
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy
from rich.console import Console, JustifyMethod
from rich.table import Table

from benchmarks.reporting import command_line, save, spread
from fsim.core.rng import stream
from fsim.fleet import AlwaysOn, Link
from fsim.network import Capacity, Fluid, Tcp
from fsim.network.sharing.uploads import Flow, SharedLink, SharedNetwork
from fsim.simulation.shared_links import SharedLinks
from fsim.simulation.transfer import Route

TOLERANCE = 1e-9
"""Largest relative difference between two sides' durations of a flow."""

SIMGRID = {1000: "0.16 to 0.35", 3000: "1.4"}
"""Seconds of SimGrid 4.1 (C++) for so many flows over a backhaul, measured separately on other
workloads: a reference, not a comparison."""

LOOPS_UP_TO = 1000
REFILL_UP_TO = 3000
"""Most flows that the slower sides are given."""

SIZES = np.array([5e4, 2.5e5, 1e6, 3.5e6, 8e6])
"""Bytes of an upload, equally likely."""


DOOR_SECONDS = 10.0
"""CPU time in which a round of :data:`DOOR_CLIENTS` has to be through."""

DOOR_CLIENTS = 10_000


@dataclass(frozen=True)
class Work:
    """Uploads, in the order of their starts, and the link that they share."""

    flows: list[Flow]
    link: Capacity


def mixed(count: int, span: float = 60.0) -> Work:
    """Starts over 60 s; half of the caps constant, half with 2 to 6 pieces of 1.5 to 6 s.

    The link carries all bytes in 60 s, if it is never idle.
    """
    rng = stream(0, "benchmark.sharing.mixed", count)
    flows = []
    for start in np.sort(rng.uniform(0, span, count)):
        pieces = int(rng.integers(2, 7)) if rng.random() < 0.5 else 1
        starts = np.concatenate(([0.0], np.cumsum(rng.uniform(1.5, 6, pieces))))
        rates = np.exp(rng.uniform(math.log(3e4), math.log(2.4e6), pieces))
        cap = Capacity(starts[:-1], rates, float(starts[-1]))
        flows.append(Flow(float(start), float(rng.choice(SIZES)), cap))
    return Work(flows, Capacity.constant(sum(flow.size for flow in flows) / 60))


def crowd(count: int) -> Work:
    """As ``mixed``, all beginning within a second."""
    return mixed(count, span=1.0)


def traces(count: int) -> Work:
    """Every cap changes every second: one of 20 traces of 300 s, each entered at its own place."""
    rng = stream(0, "benchmark.sharing.traces", count)
    shapes = [Capacity(np.arange(300.0), np.exp(rng.normal(12, 1, 300)), 300.0) for _ in range(20)]
    flows = [
        Flow(
            float(start),
            float(rng.choice(SIZES)),
            shapes[rng.integers(20)].with_offset(float(rng.uniform(0, 300))),
        )
        for start in np.sort(rng.uniform(0, 60, count))
    ]
    return Work(flows, Capacity.constant(sum(flow.size for flow in flows) / 60))


def equal(count: int) -> Work:
    """Equal caps, of which the link just carries the number that is usually there."""
    rng = stream(0, "benchmark.sharing.equal", count)
    starts = np.sort(rng.uniform(0, 60, count))
    sizes = rng.choice(SIZES, count)
    cap = Capacity.constant(5e5)
    flows = [Flow(float(s), float(b), cap) for s, b in zip(starts, sizes, strict=True)]
    return Work(flows, Capacity.constant(float(sizes.sum()) / 60))


def seesaw(count: int) -> Work:
    """The worst case: all caps differ, and the link goes from ample to scarce every second."""
    rng = stream(0, "benchmark.sharing.seesaw", count)
    caps = rng.uniform(1e5, 1e6, count)
    flows = [Flow(0.0, 1e7, Capacity.constant(float(cap))) for cap in caps]
    return Work(flows, Capacity([0.0, 1.0], [caps.sum(), 0.1 * caps.sum()], 2.0))


WORKLOADS: dict[str, Callable[[int], Work]] = {
    "mixed": mixed,
    "crowd": crowd,
    "traces": traces,
    "equal": equal,
    "seesaw": seesaw,
}


def by_fsim(work: Work, counts: dict[str, int]) -> dict[int, float]:
    """Finish times by the project's way; events and crossings of the level into ``counts``."""
    link = SharedLink(work.link)
    for flow in work.flows:
        link.add(flow.start, flow.size, flow.cap, flow.weight)
    finish = dict(link.drain())
    counts.update({"events": link.events, "crossings": link.crossings})
    return finish


def by_refill(work: Work, counts: dict[str, int]) -> dict[int, float]:
    """Finish times by progressive filling of all flows at every event, with numpy."""
    network = SharedNetwork([work.link])
    for flow in work.flows:
        network.add(flow.start, flow.size, [0], flow.cap, flow.weight)
    return dict(network.drain())


def by_loops(work: Work, counts: dict[str, int]) -> dict[int, float]:
    """Finish times by progressive filling of all flows at every event, with plain loops."""
    finish: dict[int, float] = {}
    left: dict[int, float] = {}
    arrived, now = 0, 0.0
    while arrived < len(work.flows) or left:
        if not left:
            now = work.flows[arrived].start
        while arrived < len(work.flows) and work.flows[arrived].start <= now:
            left[arrived] = work.flows[arrived].size
            arrived += 1
        pieces = {number: _piece(work.flows[number].cap, now) for number in left}
        spare, until = _piece(work.link, now)
        rates = {}
        waiting = len(pieces)
        for number in sorted(pieces, key=lambda number: pieces[number][0]):
            rates[number] = min(pieces[number][0], spare / waiting)
            spare -= rates[number]
            waiting -= 1
        if arrived < len(work.flows):
            until = min(until, work.flows[arrived].start)
        for number, (_, end) in pieces.items():
            until = min(until, end)
            if rates[number] > 0:
                until = min(until, now + left[number] / rates[number])
        until = max(until, math.nextafter(now, math.inf))
        for number, rate in rates.items():
            left[number] -= rate * (until - now)
            if left[number] <= 1e-12 * work.flows[number].size:
                finish[number] = until
                del left[number]
        now = until
    return finish


def _piece(capacity: Capacity | None, now: float) -> tuple[float, float]:
    """Rate and end of the piece of a capacity that holds now."""
    assert capacity is not None
    starts, ends, rates, _, period, _ = capacity.staircase.table
    if len(starts) == 1:
        return rates[0] * capacity.scale, math.inf
    cycle, within = divmod(now + capacity.offset, period)
    place = bisect_right(starts, within) - 1
    return rates[place] * capacity.scale, cycle * period + ends[place] - capacity.offset


SIDES = {"fsim": by_fsim, "refill": by_refill, "loops": by_loops}


class _Thing:
    """What an entry of the yardstick's heap stands for."""

    __slots__ = ("amount",)

    def __init__(self, amount: float) -> None:
        self.amount = amount


def yardstick(flows: int, events: int) -> float:
    """CPU seconds of so many replacements in a heap of so many entries."""
    rng = stream(0, "benchmark.sharing.yardstick", flows)
    heap = [[due, n, _Thing(due)] for n, due in enumerate(rng.uniform(0, 60, flows).tolist())]
    heapq.heapify(heap)
    later = rng.exponential(12, events).tolist()
    began = time.process_time()
    for serial, delay in enumerate(later, flows):
        entry = heap[0]
        entry[2].amount += delay
        entry[0] += delay
        entry[1] = serial
        heapq.heapreplace(heap, entry)
    return time.process_time() - began


@dataclass
class Record:
    """Turns of one side at one workload and size."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    finish: dict[int, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def turn(self, side: str, work: Work) -> None:
        """Take one."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.finish = SIDES[side](work, self.counts)
        self.wall_s.append(time.perf_counter() - wall)
        self.cpu_s.append(time.process_time() - cpu)


def difference(work: Work, one: Record, other: Record) -> float:
    """Largest relative difference of durations; infinite if other flows finished."""
    if one.finish.keys() != other.finish.keys():
        return math.inf
    return max(
        abs(one.finish[n] - other.finish[n]) / (other.finish[n] - work.flows[n].start)
        for n in one.finish
    )


def measure(workload: str, count: int, sides: Sequence[str], turns: int) -> dict[str, Any]:
    """All sides at one workload and size, turn by turn."""
    work = WORKLOADS[workload](count)
    records = {side: Record() for side in sides}
    ours = records["fsim"]
    heap_s = []
    for _ in range(turns):
        for side, record in records.items():
            record.turn(side, work)
        events = ours.counts["events"]
        heap_s.append(yardstick(count, events))
    return {
        "workload": workload,
        "flows": count,
        "turns": turns,
        "wall_s": spread(ours.wall_s),
        "cpu_s": spread(ours.cpu_s),
        "heap_s": spread(heap_s),
        **ours.counts,
        "us_per_event": statistics.median(ours.cpu_s) / events * 1e6,
        "crossings_per_event": ours.counts["crossings"] / events,
        "rivals": {
            side: {
                "cpu_s": spread(record.cpu_s),
                "ratio": spread([b / a for a, b in zip(ours.cpu_s, record.cpu_s, strict=True)]),
                "difference": difference(work, ours, record),
            }
            for side, record in records.items()
            if side != "fsim"
        },
    }


def growth(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Exponents over the number of events, by least squares of the logarithms."""
    events = np.array([row["events"] for row in rows])
    columns = {
        "fsim": [row["cpu_s"]["median"] for row in rows],
        "heap": [row["heap_s"]["median"] for row in rows],
        "n log n": events * np.log(events),
    }
    return {
        name: float(np.polyfit(np.log(events), np.log(column), 1)[0])
        for name, column in columns.items()
    }


def door(clients: int, turns: int) -> dict[str, Any]:
    """CPU and simulated seconds of a round of uploads through one door, by transport."""
    result: dict[str, Any] = {"clients": clients, "cpu_s": {}, "simulated_s": {}}
    timed: dict[str, list[float]] = {"tcp": [], "fluid": []}
    for _ in range(turns):
        for transport in (Tcp(), Fluid()):
            env = simpy.Environment()
            shared = SharedLinks(env, [Capacity.constant(12.5e6)])
            route = Route(env, transport, "resume", shared)
            link = Link(Capacity.constant(2.5e6), 0.08, path=(0,))
            for _ in range(clients):
                env.process(route.transfer(50_000, link, AlwaysOn()))
            began = time.process_time()
            env.run()
            timed[transport.name].append(time.process_time() - began)
            result["simulated_s"][transport.name] = env.now
    result["cpu_s"] = {name: spread(seconds) for name, seconds in timed.items()}
    return result


def print_report(console: Console, report: dict[str, Any]) -> None:
    """Two tables: what it costs, and how the sides compare."""

    def told(values: dict[str, float], digits: int) -> str:
        low, high = values["min"], values["max"]
        return f"[b]{values['median']:.{digits}f}[/b] ({low:.{digits}f} to {high:.{digits}f})"

    table = Table(title="fsim alone, on one core")
    for heading in ("workload", "flows", "CPU s", "events", "us each", "crossed"):
        justify: JustifyMethod = "left" if heading == "workload" else "right"
        table.add_column(heading, justify=justify, no_wrap=True)
    for row in report["rows"]:
        table.add_row(
            row["workload"],
            str(row["flows"]),
            told(row["cpu_s"], 3),
            str(row["events"]),
            f"{row['us_per_event']:.1f}",
            f"{row['crossings_per_event']:.2f}",
        )
    console.print(table)
    powers = Table(title="Seconds grow as events to the power of")
    for heading in ("workload", "fsim", "a bare heap", "n log n itself"):
        powers.add_column(heading, justify="left" if heading == "workload" else "right")
    for name, found in report["growth"].items():
        powers.add_row(name, *(f"{power:.2f}" for power in found.values()))
    console.print(powers)
    known = ", ".join(f"{count} flows {seconds} s" for count, seconds in SIMGRID.items())
    console.print(f"For reference, SimGrid 4.1 (C++), measured separately: {known}.")
    ratios = Table(title="CPU time of re-sharing everything at every event, over that of fsim")
    for heading in ("workload", "flows", "side", "CPU s", "ratio", "durations apart"):
        ratios.add_column(heading, no_wrap=True)
    for row in report["rows"]:
        for side, rival in row["rivals"].items():
            ratios.add_row(
                row["workload"],
                str(row["flows"]),
                side,
                f"{rival['cpu_s']['median']:.2f}",
                told(rival["ratio"], 1),
                f"{rival['difference']:.0e}",
            )
    console.print(ratios)
    table = Table(title=f"{report['door']['clients']} uploads through one door, on the clock")
    for heading in ("transport", "CPU s", "simulated s"):
        table.add_column(heading, justify="right")
    for name, seconds in report["door"]["cpu_s"].items():
        simulated = report["door"]["simulated_s"][name]
        table.add_row(name, told(seconds, 2), f"{simulated:.2f}")
    console.print(table)
    console.print(
        "Median (smallest to largest) of the turns. us each: microseconds an event, which is an "
        "arrival, a departure or a change of capacity; crossed: groups of flows that crossed the "
        "level, an event."
    )


def run(*, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure all workloads and sizes."""
    rows = []
    for workload in WORKLOADS:
        for count in (300, 1000, 3000) if quick else (1000, 3000, 10_000):
            sides = ["fsim"]
            if count <= REFILL_UP_TO and not (quick and count > 1000):
                sides.append("refill")
            if count <= LOOPS_UP_TO and not (quick and count > 300):
                sides.append("loops")
            say(f"{workload}, {count} flows")
            rows.append(measure(workload, count, sides, 3 if quick else 5))
    say("the door")
    return {
        "quick": quick,
        "door": door(DOOR_CLIENTS // 10 if quick else DOOR_CLIENTS, 3 if quick else 5),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "simgrid_s": {str(count): seconds for count, seconds in SIMGRID.items()},
        "tolerance": TOLERANCE,
        "rows": rows,
        "growth": {
            workload: growth([row for row in rows if row["workload"] == workload])
            for workload in WORKLOADS
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if sides did not agree."""
    parser = command_line("benchmarks.sharing", str(__doc__), "smaller sizes, fewer turns")
    chosen = parser.parse_args(arguments)
    with Console(stderr=True).status("") as status:
        report = run(quick=chosen.quick, say=status.update)
    print_report(Console(), report)
    save(report, chosen.json)
    rivals = [rival for row in report["rows"] for rival in row["rivals"].values()]
    quick_enough = report["door"]["cpu_s"]["tcp"]["median"] < DOOR_SECONDS
    return 0 if quick_enough and all(r["difference"] <= TOLERANCE for r in rivals) else 1


if __name__ == "__main__":
    sys.exit(main())
