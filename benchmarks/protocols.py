"""What the clock costs: seconds of this machine for each simulated client, by size of the fleet.

    python -m benchmarks.protocols
    python -m benchmarks.protocols --quick --json protocols.json

Network, clients and protocols are those of every run; training and evaluation give results that
were recorded before, so that what is timed is the event loop and all that it calls. Fleets take
turns, so that whatever else the machine does falls on all of them, and each run is a process of its
own.

A client's device, links and availability are drawn when it is asked for the first time. In as many
rounds, a large fleet sends clients that it has not met before, a small one those that it has. Three
times are therefore told: of a client as it comes, of drawing one, and of a client in a run in which
all had been drawn before.
"""

from __future__ import annotations

import gc
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.reporting import command_line, save, spread
from fsim.core.types import GradientCorrection, Layout, Update
from fsim.evaluation.evaluation import Evaluation
from fsim.fleet.population import DrawnPopulation
from fsim.settings.loading import check_scenario
from fsim.simulation.build import build_population
from fsim.simulation.world import SimulatedWorld
from fsim.store.memory_cache import MemoryCache
from fsim.training.trainer import TrainingJob, TrainingResult

CONCURRENT = 100
WARM_UP = 30
"""Updates of the global adapter before anything is timed."""

LARGEST_GROWTH = 1.2
"""Cost of a client among 100,000 over that among 1,000."""

ROOT = Path(__file__).parents[1]


class RecordedLearner:
    """One recorded result for every job (:class:`fsim.simulation.learner.Learner`)."""

    parameters = 1_377_408
    cache = MemoryCache()

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        shapes = {"x.lora_A.weight": (8, 128), "x.lora_B.weight": (128, 8)}
        self.initial: Update = {n: np.zeros(s, np.float32) for n, s in shapes.items()}
        delta = {n: rng.laplace(size=s).astype("f4") * 1e-3 for n, s in shapes.items()}
        self.layout = Layout.of(self.initial)
        self.facts: dict[str, Any] = {}
        self._result = TrainingResult(delta, None, (1.0, 0.9), 1.0)

    def examples(self, client: int) -> int:
        """All have as many."""
        return 50

    def job(
        self,
        client: int,
        round_number: int,
        adapter: Update,
        steps: int,
        correction: GradientCorrection | None = None,
        repeat: int = 0,
    ) -> TrainingJob:
        """A job without rows."""
        return TrainingJob(client, round_number, adapter, [()] * steps)

    def operations(self, job: TrainingJob) -> float:
        """Those of 8 steps of 8 rows of nano, about."""
        return 2e10

    def submit(self, job: TrainingJob) -> int:
        """Nothing to do."""
        return 0

    def result(self, ticket: int) -> TrainingResult:
        """What was recorded."""
        return self._result

    def evaluate(self, adapter: Update) -> Evaluation:
        """What was recorded."""
        return Evaluation(0.1, 2.0, 7.4, 0.2, "exact_match", {})

    def final_facts(self) -> dict[str, Any]:
        """None."""
        return {}

    def save(self, adapter: Update, folder: Path) -> None:
        """Nothing to keep."""


PROTOCOLS: dict[str, dict[str, Any]] = {
    "synchronous": {"kind": "synchronous"},
    "deadline": {"kind": "deadline", "over_selection": 1.3, "after": "60 s"},
    "buffered": {"kind": "buffered", "buffer": 10},
}


def scenario(clients: int, protocol: str, updates: int) -> Any:
    """A fleet on LTE uplinks under a protocol, CONCURRENT clients at a time."""
    rounds = updates if protocol == "buffered" else max(1, updates // (CONCURRENT // 10))
    return check_scenario(
        {
            "name": "protocols",
            "fleet": {
                "clients": clients,
                "devices": {"phone-mid": 0.5, "jetson-orin-nano": 0.5},
                "uplink": {"trace": "traces/lte-driving.csv", "mean": "lognormal(1.5 Mbit/s, 0.8)"},
                "downlink": {"rate": "20 Mbit/s"},
            },
            "protocol": {**PROTOCOLS[protocol], "clients_per_round": CONCURRENT, "rounds": rounds},
            "evaluation": {"every": rounds},
            "target": {"value": 0.9},
        },
        "benchmark",
        (ROOT,),
    )


def run(loaded: Any, population: DrawnPopulation) -> tuple[SimulatedWorld, float, float]:
    """A run to its end; CPU seconds to set it up, and from its first event to its last."""
    begun = time.process_time()
    world = SimulatedWorld(loaded, RecordedLearner(), population=population)
    ready = time.process_time()
    world.run()
    ended = time.process_time()
    world.close()
    return world, ready - begun, ended - ready


def run_once(task: tuple[int, str, int]) -> dict[str, float]:
    """CPU time of a fleet under a protocol, and the peak memory of the process that ran it."""
    clients, protocol, updates = task
    # A process that was just forked is slow until it has its own copy of what it touches.
    short = scenario(clients, protocol, WARM_UP)
    run(short, build_population(short))
    # One look through all that was imported takes as long as a thousand clients, and falls into
    # one run and not into another: the collector is to look at what the run itself makes.
    gc.collect()
    gc.freeze()
    loaded = scenario(clients, protocol, updates)
    population = build_population(loaded)
    world, set_up, seconds = run(loaded, population)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    selected, simulated = world.accounts.selected, world.env.now
    met = [profile.client for profile in population.profiles]
    del world
    population = build_population(loaded)
    begun = time.process_time()
    together = 1 if protocol == "buffered" else CONCURRENT  # as they are asked
    for at in range(0, len(met), together):
        population.prepare(met[at : at + together])
    drawing = time.process_time() - begun
    _, _, again = run(loaded, population)
    return {
        "selected": selected,
        "met": len(met),
        "set_up_s": set_up,
        "each_us": 1e6 * seconds / selected,
        "first_us": 1e6 * drawing / len(met),
        "again_us": 1e6 * again / selected,
        "peak_mib": peak,
        "simulated_s": simulated,
    }


def measure(sizes: Sequence[int], protocols: Sequence[str], updates: int, turns: int) -> list[Any]:
    """All fleets in turn, again and again; each run in a process forked for it alone."""
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    first = scenario(sizes[0], protocols[0], WARM_UP)
    run(first, build_population(first))  # what is imported, before any fork
    tasks = [(clients, protocol, updates) for protocol in protocols for clients in sizes]
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        for _ in range(turns):
            for (clients, protocol, _), once in zip(
                tasks, pool.imap(run_once, tasks, chunksize=1), strict=True
            ):
                found.setdefault((protocol, clients), []).append(once)
    rows = []
    for (protocol, clients), runs in found.items():
        base = found[protocol, sizes[0]]
        row: dict[str, Any] = {"protocol": protocol, "clients": clients}
        for name in ("selected", "met", "simulated_s"):
            row[name] = runs[0][name]
        for name in ("set_up_s", "peak_mib"):
            row[name] = statistics.median(each[name] for each in runs)
        for name in ("each_us", "first_us", "again_us"):
            row[name] = spread([each[name] for each in runs])
        row["ratio"] = spread(
            [a["each_us"] / b["each_us"] for a, b in zip(runs, base, strict=True)]
        )
        rows.append(row)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if the cost of a client grows with the fleet."""
    parser = command_line("benchmarks.protocols", str(__doc__), "fewer and smaller runs")
    chosen = parser.parse_args(arguments)
    updates, turns = (100, 2) if chosen.quick else (300, 5)
    rows = measure([1_000, 10_000, 100_000, 1_000_000], list(PROTOCOLS), updates, turns)
    table = Table(title=f"CPU time of a simulated client, {CONCURRENT} at work at a time")
    headings = ("protocol", "fleet", "asked", "met", "set up", "memory", "each client",
                "over the smallest", "drawing one", "drawn before")  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "protocol" else "right")
    for row in rows:
        each, ratio = row["each_us"], row["ratio"]
        table.add_row(
            row["protocol"],
            f"{row['clients']:,}",
            f"{row['selected']:,}",
            f"{row['met']:,}",
            f"{row['set_up_s']:.2f} s",
            f"{row['peak_mib']:.0f} MiB",
            f"{each['median']:.0f} us ({each['min']:.0f} to {each['max']:.0f})",
            f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})",
            f"{row['first_us']['median']:.0f} us",
            f"{row['again_us']['median']:.0f} us",
        )
    console = Console(width=max(140, Console().width))
    console.print(table)
    worst = max(row["ratio"]["median"] for row in rows if row["clients"] == 100_000)
    console.print(
        f"Largest growth from 1,000 to 100,000 clients: {worst:.2f} (target: at most "
        f"{LARGEST_GROWTH})."
    )
    save({"rows": rows, "worst_growth": worst}, chosen.json)
    return 0 if worst <= LARGEST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
