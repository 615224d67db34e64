"""What transfers and populations cost: closed forms against SimPy, stepped and bare.

    python -m benchmarks.network
    python -m benchmarks.network --quick --json network.json

Sides take turns within one run, and a ratio is always of two turns beside each other, by the CPU
time of this one process, so that whatever else the machine does falls on all of them. Sides that
should agree on a finish time are compared; the program ends with status 1 where they do not, or
where a target is missed.
"""

from __future__ import annotations

import gc
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import simpy
from rich.console import Console
from rich.table import Table

from benchmarks.reporting import command_line, save
from fsim.network import Capacity, Tcp
from fsim.network.vectorised import CapacityBank

MBIT = 1e6 / 8

SIZE = 10_000_000
"""Bytes of an upload, 80 s at 1 Mbit/s."""

CLIENTS = 1_000_000
"""In the population that is drawn."""

COHORT = 10_000
"""Clients in the round that is simulated, and uploads that are compared with stepping."""

Process = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Result:
    """One figure and its target.

    Attributes
    ----------
    values
        Of each turn.
    target, at_most
        What the median has to reach, and whether it has to be no more than that, or no less; None
        where there is only a figure to report.
    """

    name: str
    unit: str
    values: list[float]
    target: float | None = None
    at_most: bool = True

    @property
    def median(self) -> float:
        """Of the turns."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        """Whether the median reaches the target."""
        if self.target is None:
            return True
        return self.median <= self.target if self.at_most else self.median >= self.target

    def summary(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "name": self.name,
            "unit": self.unit,
            "min": min(self.values),
            "median": self.median,
            "max": max(self.values),
            "turns": len(self.values),
            "target": self.target,
            "at_most": self.at_most,
            "met": self.met,
        }


ClientResult = TypeVar("ClientResult")


def timed(work: Callable[..., ClientResult], *arguments: object) -> tuple[float, ClientResult]:
    """CPU seconds of this process, and what came of it."""
    gc.collect()
    began = time.process_time()
    answer = work(*arguments)
    return time.process_time() - began, answer


def trace(seed: int) -> Capacity:
    """1200 pieces of a second, mean about 1 Mbit/s, looped."""
    rates = np.random.default_rng(seed).lognormal(np.log(0.7 * MBIT), 0.8, 1200)
    return Capacity(np.arange(1200.0), rates, 1200)


def bare_events(count: int) -> None:
    """Timeouts of a single SimPy process."""

    def process(env: simpy.Environment) -> Process:
        for _ in range(count):
            yield env.timeout(1.0)

    env = simpy.Environment()
    env.process(process(env))
    env.run()


def upload_events(count: int, capacity: Capacity, size: float) -> None:
    """As many uploads one after the other, each a closed form and a timeout."""

    def process(env: simpy.Environment) -> Process:
        for _ in range(count):
            now = env.now
            yield env.timeout(capacity.finish_time(now, size) - now)

    env = simpy.Environment()
    env.process(process(env))
    env.run()


Upload = Callable[[simpy.Environment], Process]


def simulate(clients: int, uploads: int, upload: Upload) -> float:
    """When the last is through of many clients at once, each with uploads one after the other."""

    def client(env: simpy.Environment) -> Process:
        for _ in range(uploads):
            yield from upload(env)

    env = simpy.Environment()
    for _ in range(clients):
        env.process(client(env))
    env.run()
    return float(env.now)


def stepped(env: simpy.Environment) -> Process:
    """An upload that looks at the link every second."""
    remaining, rate = float(SIZE), MBIT
    while remaining > 0:
        seconds = min(1.0, remaining / rate)
        yield env.timeout(seconds)
        remaining -= seconds * rate


def closed_form(env: simpy.Environment) -> Process:
    """The same upload as one event."""
    finish = ONE_MBIT.finish_time(env.now, SIZE)
    yield env.timeout(finish - env.now)


ONE_MBIT = Capacity.constant(MBIT)


def measure_upload(turns: int, count: int) -> list[Result]:
    """What an upload costs, in bare events."""
    results = []
    for what, size in (("100 kB", 100_000.0), ("10 MB", float(SIZE))):
        capacity = trace(0)
        upload_events(10, capacity, size)
        ratios = []
        for _ in range(turns):
            event, _ = timed(bare_events, count)
            upload, _ = timed(upload_events, count, capacity, size)
            ratios.append(upload / event)
        name = f"an upload of {what} over a looped trace of 1200 pieces"
        results.append(Result(name, "bare events", ratios, 3.0))
    return results


def measure_stepping(turns: int) -> tuple[list[Result], float]:
    """Closed forms against stepping by the second; and how far apart their finish times are."""
    bank = CapacityBank([ONE_MBIT], np.zeros(COHORT, dtype=np.uint8))
    everyone, alone = np.arange(COHORT), SIZE / MBIT
    clients = 100
    uploads = COHORT // clients
    repeats = 20  # long enough for the clock of CPU time
    ratios: dict[str, list[float]] = {"closed": [], "processes": [], "vectorised": []}
    apart = 0.0
    for _ in range(turns):
        slow, end = timed(simulate, clients, uploads, stepped)
        fast, same = timed(simulate, clients, uploads, closed_form)
        ratios["closed"].append(slow / fast)
        apart = max(apart, abs(end / uploads - alone), abs(same / uploads - alone))
        many, _ = timed(many_times, repeats, bank, everyone)
        seconds = bank.finish_times(everyone, 0.0, SIZE).all_end()
        ratios["vectorised"].append(slow / (many / repeats))
        apart = max(apart, float(np.max(np.abs(seconds - alone))))
        slow, end = timed(simulate, COHORT, 1, stepped)
        fast, same = timed(simulate, COHORT, 1, closed_form)
        ratios["processes"].append(slow / fast)
        apart = max(apart, abs(end - alone), abs(same - alone))
    of = f"{COHORT:,} uploads of 10 MB at 1 Mbit/s"
    return [
        Result(f"{of}: stepped / closed form", "times", ratios["closed"], 25.0, at_most=False),
        Result(f"{of}, each a process of its own: the same", "times", ratios["processes"]),
        Result(f"{of}: stepped / vectorised", "times", ratios["vectorised"], 1000.0, at_most=False),
    ], apart / alone


def many_times(repeats: int, bank: CapacityBank, everyone: npt.NDArray[np.int64]) -> None:
    """Ask for all finish times again and again."""
    for _ in range(repeats):
        bank.finish_times(everyone, 0.0, SIZE)


@dataclass(frozen=True)
class People:
    """The network side of a population."""

    up: CapacityBank
    down: CapacityBank
    round_trips: npt.NDArray[np.float32]


def draw(seed: int) -> People:
    """A million clients on ten traces, with lognormal means and round trips."""
    rng = np.random.default_rng(seed)
    traces = [trace(number) for number in range(10)]
    up = CapacityBank.draw(traces, CLIENTS, rng, rng.lognormal(np.log(MBIT), 0.8, CLIENTS))
    down = CapacityBank.draw(traces, CLIENTS, rng, rng.lognormal(np.log(8 * MBIT), 0.8, CLIENTS))
    round_trips = rng.lognormal(np.log(0.06), 0.5, CLIENTS).astype(np.float32)
    return People(up, down, round_trips)


def network_round(people: People, cohort: npt.NDArray[np.int64]) -> float:
    """A download of 1 MB and an upload of 250 kB by each of a cohort, over TCP; when it ends."""
    tcp = Tcp()

    def client(env: simpy.Environment, number: int) -> Process:
        round_trip = float(people.round_trips[number])
        for bank, size in ((people.down, 1_000_000), (people.up, 250_000)):
            finish = tcp.finish_time(bank.capacity(number), size, env.now, round_trip)
            yield env.timeout(finish - env.now)

    env = simpy.Environment()
    for number in cohort.tolist():
        env.process(client(env, number))
    env.run()
    return float(env.now)


def measure_population(turns: int) -> list[Result]:
    """What a million clients cost to draw and to hold, and a round of ten thousand of them."""
    seconds, rounds = [], []
    for turn in range(turns):
        drawing, people = timed(draw, 0)
        cohort = np.random.default_rng(turn).choice(CLIENTS, COHORT, replace=False)
        simulating, _ = timed(network_round, people, cohort)
        seconds.append(drawing)
        rounds.append(simulating)
    tracemalloc.start()
    people = draw(0)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del people
    name = "a million clients, up and down"
    return [
        Result(f"{name}: drawn", "s", seconds, 10.0),
        Result(f"{name}: held", "bytes a client", [held / CLIENTS], 500.0),
        Result(
            f"{name}: at most, drawing", "bytes a client", [peak / CLIENTS], 500.0, at_most=True
        ),
        Result(f"a round of {COHORT:,} of them, TCP in SimPy", "s", rounds, 10.0),
    ]


def run(*, quick: bool, turns: int | None) -> dict[str, Any]:
    """Measure everything."""
    count = turns or (3 if quick else 9)
    results = measure_population(count)
    results += measure_upload(count, 20_000 if quick else 100_000)
    stepping, apart = measure_stepping(count)
    results += stepping
    return {
        "quick": quick,
        "python": platform.python_version(),
        "simpy": simpy.__version__,
        "numpy": np.__version__,
        "results": [result.summary() for result in results],
        "finish_times_apart": apart,
        "finish_times_agree": bool(apart < 1e-9),
    }


def print_report(console: Console, report: dict[str, Any]) -> None:
    """One table, and whether the sides agreed."""
    table = Table(title="Cost of the network" + (", quick" if report["quick"] else ""))
    for heading in ("what", "median (smallest to largest)", "unit", "target", ""):
        table.add_column(heading)
    for result in report["results"]:
        spread = f"[b]{result['median']:.3g}[/b]"
        if result["turns"] > 1:
            spread += f" ({result['min']:.3g} to {result['max']:.3g})"
        target, verdict = "-", ""
        if result["target"] is not None:
            target = f"{'at most' if result['at_most'] else 'at least'} {result['target']:g}"
            verdict = "met" if result["met"] else "[red]MISSED[/red]"
        table.add_row(result["name"], spread, result["unit"], target, verdict)
    console.print(table)
    agree = "agree" if report["finish_times_agree"] else "[red]DO NOT AGREE[/red]"
    console.print(
        f"Finish times of all sides {agree} ({report['finish_times_apart']:.1e} apart). CPU time "
        "of one process; ratios are of turns beside each other."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if a target was missed or sides did not agree."""
    parser = command_line("benchmarks.network", str(__doc__), "few turns")
    parser.add_argument("--turns", type=int, help="timed turns of each side")
    chosen = parser.parse_args(arguments)
    if chosen.turns is not None and chosen.turns < 1:
        parser.error(f"--turns: found {chosen.turns}, allowed is 1 or more")
    console = Console()
    report = run(quick=chosen.quick, turns=chosen.turns)
    print_report(console, report)
    save(report, chosen.json)
    met = all(result["met"] for result in report["results"])
    return 0 if met and report["finish_times_agree"] else 1


if __name__ == "__main__":
    sys.exit(main())
