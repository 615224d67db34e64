"""Seconds of fsim beside those of the same payloads over real sockets.

    python -m benchmarks.sockets
    python -m benchmarks.sockets --quick --json sockets.json

Runs are drawn from a seed, recorded in fsim, and their payloads played by processes in network
namespaces of their own, over links that an emulator shapes: over TCP and over TLS 1.3, the server's
door serving its clients in turn; over TCP through a door of one queue for all (FIFO); and by a
server and clients of Flower, where it is installed. Computing is left out of both sides. It takes
Linux and root. Status 1 where a target is missed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.reporting import command_line, save
from benchmarks.sockets.namespaces import why_not
from benchmarks.sockets.plan import draw_cases
from benchmarks.sockets.stacks import STACKS, Comparison, compare
from benchmarks.sockets.twin import QUEUE

MEDIAN = (0.05, 0.015)
HIGHEST = (0.10, 0.030)
"""Part of the seconds measured, or seconds, that the error of a round may be in the median, and at
the 95th percentile."""

SUM = 0.05
"""Part of the seconds measured that the error of the sum over a run's rounds may be."""


def excess(pairs: Sequence[tuple[float, float]], bound: tuple[float, float]) -> list[float]:
    """Errors in units of what is allowed: a part of the seconds measured, or seconds."""
    part, seconds = bound
    return [abs(ours - real) / max(part * real, seconds) for ours, real in pairs]


def figures(comparisons: Sequence[Comparison]) -> dict[str, float]:
    """What errors there are, and parts of what is allowed of them."""
    pairs = [pair for each in comparisons for pair in each.pairs]
    uploads = [pair for each in comparisons for pair in each.uploads]
    errors = [abs(ours / real - 1) for ours, real in pairs]
    sums = [abs(each.error_of_sum) for each in comparisons]
    return {
        "runs": float(len(comparisons)),
        "rounds": float(len(pairs)),
        "uploads": float(len(uploads)),
        "error_of_a_round_median": statistics.median(errors),
        "error_of_a_round_95th_percentile": float(np.percentile(errors, 95)),
        "error_of_an_upload_median": statistics.median(abs(a / b - 1) for a, b in uploads),
        "error_of_a_sum_median": statistics.median(sums),
        "error_of_a_sum_largest": max(sums),
        "median_in_what_is_allowed": statistics.median(excess(pairs, MEDIAN)),
        "95th_percentile_in_what_is_allowed": float(np.percentile(excess(pairs, HIGHEST), 95)),
        "sums_within_what_is_allowed": sum(error <= SUM for error in sums) / len(sums),
    }


def meets(told: dict[str, float]) -> bool:
    """Whether figures meet all targets."""
    return (
        told["median_in_what_is_allowed"] <= 1
        and told["95th_percentile_in_what_is_allowed"] <= 1
        and told["error_of_a_sum_largest"] <= SUM
    )


def report(comparisons: Sequence[Comparison]) -> tuple[Table, dict[str, dict[str, float]]]:
    """The table of runs, and the figures of each stack."""
    table = Table("run", "over", "rounds", "sockets s", "fsim s", "sum", "spread ms")
    for each in comparisons:
        measured = sum(real for _, real in each.pairs)
        table.add_row(
            each.case.text, each.stack, str(len(each.pairs)), f"{measured:.2f}",
            f"{sum(each.simulated):.2f}", f"{each.error_of_sum:+.1%}", f"{each.spread * 1e3:.0f}",
        )  # fmt: skip
    names = list(dict.fromkeys(each.stack for each in comparisons))
    groups = {name: [each for each in comparisons if each.stack == name] for name in names}
    return table, {name: figures(group) for name, group in groups.items()}


def main() -> None:
    """Draw, record, play, print."""
    parser = command_line("benchmarks.sockets", str(__doc__), "two short runs, played once")
    parser.add_argument("--seed", type=int, default=0, help="of the runs that are drawn")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=10, help="of each run")
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--queue", type=float, default=QUEUE, help="bytes at each link")
    parser.add_argument(
        "--over", nargs="+", choices=[stack.name for stack in STACKS], help="some stacks only"
    )
    arguments = parser.parse_args()
    if (reason := why_not()) is not None:
        sys.exit(f"benchmarks.sockets: {reason}")
    runs, rounds, repetitions = arguments.runs, arguments.rounds, arguments.repetitions
    if arguments.quick:
        runs, rounds, repetitions = 2, 3, 1
    console, comparisons = Console(), []
    stacks = [stack for stack in STACKS if stack.name in (arguments.over or stack.name)]
    for case in draw_cases(runs, rounds, arguments.seed):
        for stack in stacks:
            if not stack.can_play(case):
                continue
            with tempfile.TemporaryDirectory(prefix="fsim-") as folder:
                last = compare(case, stack, repetitions, arguments.queue, Path(folder))
            if last is not None:
                comparisons.append(last)
                text = f"{last.case.text}, {last.stack}: sum {last.error_of_sum:+.1%}"
                print(text, file=sys.stderr, flush=True)
    table, told = report(comparisons)
    console.print(table)
    summary = Table("", *told)
    for name in next(iter(told.values())):
        summary.add_row(name.replace("_", " "), *(f"{each[name]:.4g}" for each in told.values()))
    console.print(summary)
    save({"seed": arguments.seed, "figures": told, "rounds_by_run": [
        {"run": each.case.text, "over": each.stack, "simulated_s": each.simulated,
         "measured_s": each.measured}
        for each in comparisons
    ]}, arguments.json)  # fmt: skip
    sys.exit(not all(meets(each) for each in told.values()))


if __name__ == "__main__":
    main()
