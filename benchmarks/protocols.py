"""What the clock costs: seconds of this machine for each simulated client, by size of the fleet.

    python -m benchmarks.protocols
    python -m benchmarks.protocols --quick --json protocols.json

Network, clients and protocols are those of every run; training and evaluation give results that
were recorded before, so that what is timed is the event loop and all that it calls. Fleets take
turns, so that whatever else the machine does falls on all of them.
"""

from __future__ import annotations

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
from fsim.learning.evaluation import Evaluation
from fsim.learning.training import TrainingJob, TrainingResult
from fsim.recent import Recent
from fsim.scenario import check_scenario
from fsim.vocabulary import Layout, Update
from fsim.world import SimulatedWorld

CONCURRENT = 100
LARGEST_GROWTH = 1.2
"""Cost of a client among 100,000 over that among 1,000."""

ROOT = Path(__file__).parents[1]


class RecordedLearner:
    """One recorded result for every job (:class:`fsim.world.learner.Learner`)."""

    parameters = 1_377_408
    recent = Recent()

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

    def job(self, client: int, round_number: int, adapter: Update, steps: int) -> TrainingJob:
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


def run_once(clients: int, protocol: str, updates: int) -> dict[str, float]:
    """Seconds to set a world up, and CPU seconds for each client that took part."""
    loaded = scenario(clients, protocol, updates)
    begun = time.process_time()
    world = SimulatedWorld(loaded, RecordedLearner())
    ready = time.process_time()
    process = world.env.process(loaded.scenario.protocol.make().run(world.env, world))
    world.env.run(process)
    ended = time.process_time()
    world.close()
    return {
        "set_up_s": ready - begun,
        "each_us": 1e6 * (ended - ready) / world.accounts.selected,
        "selected": world.accounts.selected,
        "simulated_s": world.env.now,
    }


def measure(sizes: Sequence[int], protocols: Sequence[str], updates: int, turns: int) -> list[Any]:
    """All fleets in turn, again and again."""
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    for turn in range(turns + 1):
        for protocol in protocols:
            for clients in sizes:
                once = run_once(clients, protocol, updates)
                if turn:  # the first is for warming up
                    found.setdefault((protocol, clients), []).append(once)
    rows = []
    for (protocol, clients), runs in found.items():
        base = found[protocol, sizes[0]]
        ratios = [a["each_us"] / b["each_us"] for a, b in zip(runs, base, strict=True)]
        each = [run["each_us"] for run in runs]
        rows.append(
            {
                "protocol": protocol,
                "clients": clients,
                "selected": runs[0]["selected"],
                "set_up_s": statistics.median(run["set_up_s"] for run in runs),
                "each_us": spread(each),
                "ratio": spread(ratios),
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if the cost of a client grows with the fleet."""
    parser = command_line("benchmarks.protocols", str(__doc__), "fewer and smaller runs")
    chosen = parser.parse_args(arguments)
    sizes = [1_000, 10_000, 100_000] if chosen.quick else [1_000, 10_000, 100_000, 1_000_000]
    updates, turns = (50, 3) if chosen.quick else (300, 5)
    rows = measure(sizes, list(PROTOCOLS), updates, turns)
    table = Table(title=f"CPU time of a simulated client, {CONCURRENT} at work at a time")
    for heading in ("protocol", "fleet", "asked", "set up", "each client", "over the smallest"):
        table.add_column(heading, justify="left" if heading == "protocol" else "right")
    for row in rows:
        each, ratio = row["each_us"], row["ratio"]
        table.add_row(
            row["protocol"],
            f"{row['clients']:,}",
            f"{row['selected']:,}",
            f"{row['set_up_s']:.2f} s",
            f"{each['median']:.0f} us ({each['min']:.0f} to {each['max']:.0f})",
            f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})",
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console = Console()
    console.print(table)
    worst = max(row["ratio"]["median"] for row in rows if row["clients"] == 100_000)
    console.print(
        f"Largest growth from 1,000 to 100,000 clients: {worst:.2f} (target: at most "
        f"{LARGEST_GROWTH}). Peak memory {peak:.0f} MiB."
    )
    save({"rows": rows, "worst_growth": worst, "peak_mib": peak}, chosen.json)
    return 0 if worst <= LARGEST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
