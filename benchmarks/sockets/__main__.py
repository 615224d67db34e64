"""Seconds of fsim beside those of the same payloads over real sockets.

    python -m benchmarks.sockets
    python -m benchmarks.sockets --quick --json sockets.json

Runs are drawn from a seed, recorded in fsim, and their payloads played by processes in network
namespaces of their own, over links that an emulator shapes, once over TCP and once over TLS 1.3;
computing is left out of both sides. It takes Linux and root. Status 1 where a target is missed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.reporting import command_line, save
from benchmarks.sockets.namespaces import why_not
from benchmarks.sockets.plan import Case, draw_cases
from benchmarks.sockets.recorded import record
from benchmarks.sockets.twin import QUEUE, Played, certificate, play

MEDIAN = (0.05, 0.015)
HIGHEST = (0.10, 0.030)
"""Part of the seconds measured, or seconds, that the error of a round may be in the median, and at
the 95th percentile."""

SUM = 0.05
"""Part of the seconds measured that the error of the sum over a run's rounds may be."""


@dataclass(frozen=True)
class Comparison:
    """One run, over TCP or TLS.

    Attributes
    ----------
    case
        What was drawn.
    tls
        ``none`` or ``1.3``.
    simulated
        Seconds of each round in fsim.
    measured
        Seconds of each round over sockets, shape (repetitions, rounds).
    uploads
        Seconds of each upload that was in time on both sides, from its round's beginning: fsim's,
        and the median of those measured.
    """

    case: Case
    tls: str
    simulated: tuple[float, ...]
    measured: tuple[tuple[float, ...], ...]
    uploads: tuple[tuple[float, float], ...]

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """Seconds of each round: fsim's, and the median of those measured."""
        return list(zip(self.simulated, np.median(self.measured, axis=0).tolist(), strict=True))

    @property
    def spread(self) -> float:
        """Largest difference between repetitions of a round, seconds."""
        return float(np.ptp(self.measured, axis=0).max())

    @property
    def error_of_sum(self) -> float:
        """Of all rounds together, as a part of the seconds measured."""
        return sum(self.simulated) / sum(measured for _, measured in self.pairs) - 1


def compare(case: Case, tls: str, repetitions: int, queue: float, folder: Path) -> Comparison:
    """Record a run and play it over links with queues of so many bytes."""
    transport = {**case.scenario["transport"], "tls": tls}
    recording = record({**case.scenario, "transport": transport}, folder / "payloads")
    identity = None if tls == "none" else certificate(folder)
    plays = [play(recording, "cubic", case.fresh, identity, queue) for _ in range(repetitions)]
    uploads = tuple(
        (upload.seconds, statistics.median(seconds))
        for at, round_ in enumerate(recording.rounds)
        for upload in round_.uploads
        if not upload.late and (seconds := _seen(plays, at, upload.client))
    )
    return Comparison(
        case,
        tls,
        tuple(round_.seconds for round_ in recording.rounds),
        tuple(tuple(each.seconds for each in played) for played in plays),
        uploads,
    )


def _seen(plays: Sequence[Sequence[Played]], at: int, client: int) -> list[float]:
    return [play[at].uploads[client] for play in plays if client in play[at].uploads]


def excess(pairs: Sequence[tuple[float, float]], bound: tuple[float, float]) -> list[float]:
    """Errors in units of what is allowed: a part of the seconds measured, or seconds."""
    part, seconds = bound
    return [abs(ours - real) / max(part * real, seconds) for ours, real in pairs]


def report(comparisons: Sequence[Comparison]) -> tuple[Table, dict[str, float], bool]:
    """The table, the figures, and whether all targets are met."""
    table = Table("run", "TLS", "rounds", "sockets s", "fsim s", "sum", "spread ms")
    for each in comparisons:
        measured = sum(real for _, real in each.pairs)
        table.add_row(
            each.case.text, each.tls, str(len(each.pairs)), f"{measured:.2f}",
            f"{sum(each.simulated):.2f}", f"{each.error_of_sum:+.1%}", f"{each.spread * 1e3:.0f}",
        )  # fmt: skip
    pairs = [pair for each in comparisons for pair in each.pairs]
    uploads = [pair for each in comparisons for pair in each.uploads]
    errors = [abs(ours / real - 1) for ours, real in pairs]
    sums = [abs(each.error_of_sum) for each in comparisons]
    figures = {
        "rounds": float(len(pairs)),
        "uploads": float(len(uploads)),
        "error_of_a_round_median": statistics.median(errors),
        "error_of_a_round_95th_percentile": float(np.percentile(errors, 95)),
        "error_of_an_upload_median": statistics.median(abs(a / b - 1) for a, b in uploads),
        "error_of_a_sum_median": statistics.median(sums),
        "error_of_a_sum_largest": max(sums),
        "median_in_what_is_allowed": statistics.median(excess(pairs, MEDIAN)),
        "95th_percentile_in_what_is_allowed": float(np.percentile(excess(pairs, HIGHEST), 95)),
    }
    met = (
        figures["median_in_what_is_allowed"] <= 1
        and figures["95th_percentile_in_what_is_allowed"] <= 1
        and figures["error_of_a_sum_largest"] <= SUM
    )
    return table, figures, met


def main() -> None:
    """Draw, record, play, print."""
    parser = command_line("benchmarks.sockets", str(__doc__), "two short runs, played once")
    parser.add_argument("--seed", type=int, default=0, help="of the runs that are drawn")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=10, help="of each run")
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--queue", type=float, default=QUEUE, help="bytes at each link")
    arguments = parser.parse_args()
    if (reason := why_not()) is not None:
        sys.exit(f"benchmarks.sockets: {reason}")
    runs, rounds, repetitions = arguments.runs, arguments.rounds, arguments.repetitions
    if arguments.quick:
        runs, rounds, repetitions = 2, 3, 1
    console, comparisons = Console(), []
    for case in draw_cases(runs, rounds, arguments.seed):
        for tls in ("none", "1.3"):
            with tempfile.TemporaryDirectory(prefix="fsim-") as folder:
                comparisons.append(compare(case, tls, repetitions, arguments.queue, Path(folder)))
            last = comparisons[-1]
            print(f"{last.case.text}, TLS {tls}: sum {last.error_of_sum:+.1%}", file=sys.stderr)
    table, figures, met = report(comparisons)
    console.print(table)
    for name, value in figures.items():
        console.print(f"{name.replace('_', ' ')}: {value:.4g}")
    save({**figures, "seed": arguments.seed, "rounds_by_run": [
        {"run": each.case.text, "tls": each.tls, "simulated_s": each.simulated,
         "measured_s": each.measured}
        for each in comparisons
    ]}, arguments.json)  # fmt: skip
    sys.exit(not met)


if __name__ == "__main__":
    main()
