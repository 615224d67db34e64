"""What a sweep over traces costs: twenty traces under four policies against the policies alone.

    python -m benchmarks.sweep
    python -m benchmarks.sweep --quick --json sweep.json

Traces change when things happen, never what is trained under ``synchronous``, so that each policy
is trained once and every other cell finds its results in the store. Both sides run in a process of
their own with an empty store, one cell after another; what counts is that process' CPU time, from
its start to its end. The program ends with status 1 if a cell failed, or if a job was trained more
often than once a policy.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.reporting import command_line, save
from fsim.core.rng import stream

TARGET = 1.15
"""Times what the four policies alone cost."""

POLICIES = ("float16", "qsgd", "topk", "fstq")
SCENARIO = Path(__file__).parents[1] / "scenarios" / "quickstart.yaml"
TRACE_SECONDS = 600


@dataclass(frozen=True)
class Size:
    """How much is measured; None leaves the scenario's own rounds."""

    traces: int
    rounds: int | None
    local_steps: int | None


FULL, QUICK = Size(20, None, None), Size(3, 2, 2)


@dataclass(frozen=True)
class Side:
    """One sweep, as its process tells of it.

    Attributes
    ----------
    cpu_s, wall_s
        Of the process, imports included.
    trained, reused
        Training jobs, summed over the cells' ``facts``.
    failed
        Cells.
    """

    cells: int
    cpu_s: float
    wall_s: float
    trained: int
    reused: int
    failed: int


def write_traces(folder: Path, count: int) -> list[Path]:
    """Made-up uplinks: lognormal rates, a second each, their medians 0.4 to 4 Mbit/s."""
    paths = []
    for number in range(count):
        rng = stream(0, "benchmark.sweep.trace", number)
        median = 0.4 * 10 ** (number / max(count - 1, 1))
        rates = median * np.exp(0.6 * rng.standard_normal(TRACE_SECONDS))
        rows = [f"{second},{rate:.4f}" for second, rate in enumerate(rates)]
        path = folder / f"uplink-{number:02}.csv"
        path.write_text("\n".join(["time_s,rate_mbit_s", *rows]) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def sweep_here(folder: Path, traces: Sequence[str], size: Size) -> dict[str, Any]:
    """In a side's process: do the sweep, and tell what it cost."""
    from fsim.experiments.sweep import sweep

    overrides = [] if size.rounds is None else [f"protocol.rounds={size.rounds}"]
    if size.local_steps is not None:
        overrides.append(f"training.local_steps={size.local_steps}")
    table = sweep(
        SCENARIO,
        {"fleet.uplink.trace": traces, "compression.policy": POLICIES},
        overrides=overrides,
        out=folder / "out",
        store=str(folder / "store"),
    )
    facts = [
        json.loads((folder / "out" / cell / "summary.json").read_text(encoding="utf-8"))["facts"]
        for cell, status in zip(table["cell"], table["status"], strict=True)
        if status == "completed"
    ]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cells": len(table),
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "trained": sum(each["jobs_trained"] for each in facts),
        "reused": sum(each["jobs_reused"] for each in facts),
        "failed": len(table) - len(facts),
    }


def measure(traces: Sequence[Path], size: Size) -> Side:
    """One side, in a process and with a store of its own."""
    with tempfile.TemporaryDirectory(prefix="fsim-benchmark-") as place:
        asked = {"folder": place, "traces": list(map(str, traces)), "size": asdict(size)}
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.sweep", "--side", json.dumps(asked)],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"a side ended with status {done.returncode}")
        return Side(wall_s=time.perf_counter() - begun, **json.loads(done.stdout.splitlines()[-1]))


def run(size: Size) -> dict[str, Any]:
    """Measure both sides."""
    with tempfile.TemporaryDirectory(prefix="fsim-benchmark-") as place:
        traces = write_traces(Path(place), size.traces)
        alone, swept = measure(traces[:1], size), measure(traces, size)
    return {
        "policies": POLICIES,
        "size": asdict(size),
        "alone": asdict(alone),
        "sweep": asdict(swept),
        "ratio_cpu": swept.cpu_s / alone.cpu_s,
        "ratio_wall": swept.wall_s / alone.wall_s,
        "cpu_s_for_each_further_cell": (swept.cpu_s - alone.cpu_s) / (swept.cells - alone.cells),
        "target": TARGET,
        "trained_once": swept.trained == alone.trained and not alone.failed + swept.failed,
        "python": platform.python_version(),
    }


def print_report(console: Console, report: dict[str, Any]) -> None:
    """A table of the two sides, and their ratio."""
    table = Table(title=f"{report['size']['traces']} traces x {len(report['policies'])} policies")
    for heading in ("", "cells", "CPU s", "wall s", "trained", "reused", "failed"):
        table.add_column(heading, justify="right" if heading else "left")
    for name in ("alone", "sweep"):
        side = report[name]
        seconds = (f"{side['cpu_s']:.1f}", f"{side['wall_s']:.1f}")
        counts = (str(side[key]) for key in ("trained", "reused", "failed"))
        table.add_row(name, str(side["cells"]), *seconds, *counts)
    console.print(table)
    console.print(
        f"The sweep costs [b]{report['ratio_cpu']:.3f}[/b] times the policies alone by CPU time "
        f"({report['ratio_wall']:.3f} by the clock); at most {report['target']} is asked of the "
        f"full size. Each further cell: {report['cpu_s_for_each_further_cell']:.2f} CPU s."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if a cell failed or something was trained twice."""
    parser = command_line("benchmarks.sweep", str(__doc__), "three traces, two short rounds")
    parser.add_argument("--traces", type=int, help="instead of twenty")
    parser.add_argument("--rounds", type=int, help="instead of the scenario's own")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.side is not None:
        asked = json.loads(chosen.side)
        print(json.dumps(sweep_here(Path(asked["folder"]), asked["traces"], Size(**asked["size"]))))
        return 0
    for option in ("traces", "rounds"):
        if getattr(chosen, option) is not None and getattr(chosen, option) < 1:
            parser.error(f"--{option}: found {getattr(chosen, option)}, allowed is 1 or more")
    size = QUICK if chosen.quick else FULL
    size = Size(chosen.traces or size.traces, chosen.rounds or size.rounds, size.local_steps)
    report = run(size)
    print_report(Console(), report)
    save(report, chosen.json)
    return 0 if report["trained_once"] else 1


if __name__ == "__main__":
    sys.exit(main())
