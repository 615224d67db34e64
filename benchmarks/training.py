"""How many clients a second are trained: this project against those who train one at a time.

    python -m benchmarks.training --settings small
    python -m benchmarks.training --settings quickstart --compile --json quickstart.json

Every side has a process of its own, and all do the same rounds of federated averaging: the same
frozen weights, the same adapter to begin with, the same rows in the same order. The sides take
turns, round by round, so that whatever else the machine does falls on all of them, and a ratio is
always of two turns beside each other. Losses of every client and step are compared as well: a side
that does other work than the rest is not faster but wrong, and the program then ends with status 1.

What a round of simulation needs is timed: laying out the rows, loading the adapter, training,
reading the result, averaging. Starting up and a first round are not.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import multiprocessing
import os
import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.reporting import command_line, save, spread
from benchmarks.rivals import Losses, Side, Workload, make_workload, mean

if TYPE_CHECKING:
    from fsim.core.types import FloatArray

TOLERANCE = 1e-3
"""Largest relative difference between two sides' losses, over all rounds, clients and steps."""

TOLERANCE_MOVED = 0.01
"""Largest distance between two sides' averages after a round, as a share of the way from where the
round began."""

TOLERANCE_BFLOAT16 = 0.05
"""As ``TOLERANCE`` where a side's frozen base is in bfloat16, which keeps three digits. Only the
losses before any training are judged then: every step after it rounds the adapters further apart,
and that is told, not judged."""

PACKAGES = {"bare": "peft", "pfl": "pfl", "flower": "flwr"}
"""What a side cannot do without, by import name and for pip."""


@dataclass(frozen=True)
class Match:
    """One of this project's variants against another side.

    Attributes
    ----------
    target
        Ratio that is to be reached; None where there is only a figure to report.
    goal
        Ratio that is hoped for.
    thorough
        Whether it is left out with ``--quick``.
    """

    ours: str
    theirs: str
    target: float | None
    goal: float | None = None
    thorough: bool = False


@dataclass(frozen=True)
class Group:
    """Sides that take turns.

    Attributes
    ----------
    cores
        How many each side uses: by processes, or by PyTorch's threads where it has one process.
    """

    cores: int
    matches: tuple[Match, ...]

    def sides(self) -> list[str]:
        """All of them, ours first."""
        ours = [match.ours for match in self.matches]
        return list(dict.fromkeys([*ours, *(match.theirs for match in self.matches)]))


@dataclass(frozen=True)
class Plan:
    """What a choice of ``--settings`` measures.

    Attributes
    ----------
    repetitions, quick
        Timed rounds of each side, and with ``--quick``.
    """

    groups: tuple[Group, ...]
    repetitions: int
    quick: int


PLANS = {
    "small": Plan(
        (
            Group(1, (Match("fsim", "bare", None), Match("fsim", "pfl", 2.5))),
            Group(2, (Match("fsim", "flower", 5.0),)),
        ),
        repetitions=15,
        quick=3,
    ),
    "quickstart": Plan(
        (
            Group(1, (Match("fsim", "bare", 1.7, 2.5),)),
            Group(2, (Match("fsim", "bare", None, thorough=True),)),
        ),
        repetitions=10,
        quick=2,
    ),
    "smollm2": Plan(
        (
            Group(
                1,
                (
                    Match("fsim", "bare", 1.1),
                    Match("fsim-bfloat16", "bare", 2.0),
                    Match("fsim-bfloat16", "bare-bfloat16", None, thorough=True),
                ),
            ),
        ),
        repetitions=5,
        quick=1,
    ),
}


class Ours:
    """Rounds of this project's cohorts.

    Parameters
    ----------
    width
        Clients side by side; the automatic width if None.
    workers
        Processes that share them.
    """

    def __init__(
        self, workload: Workload, width: int | None, dtype: str, *, compiled: bool, workers: int
    ) -> None:
        from fsim.core.processes import Workers
        from fsim.model.adapter import AdaptedModel
        from fsim.training.cohort import Cohort
        from fsim.training.trainer import automatic_width

        self._workload = workload
        adapted = AdaptedModel(workload.base(dtype), workload.lora, workload.adapter_seed)
        self.width = width or automatic_width(
            workload.shape, adapted.model.config.hidden_size, workload.clients_a_round
        )
        training = workload.training.model_copy(update={"compile": compiled})
        cohort = Cohort(adapted, self.width, workload.shape, training)
        self._workers = Workers(cohort.train, workers)
        self.adapter = adapted.layout.flatten(adapted.initial)

    def load(self, adapter: FloatArray) -> None:
        """Replace the global adapter."""
        self.adapter = adapter

    def round(self, number: int) -> Losses:
        """Train the clients, as many side by side as the cohort is wide, and average."""
        from fsim.training.cohort import SlotJob

        jobs = [
            SlotJob(self.adapter, self._workload.batches(client, number))
            for client in self._workload.clients(number)
        ]
        chunks = [jobs[at : at + self.width] for at in range(0, len(jobs), self.width)]
        found = dict(self._workers.map(chunks))
        results = [result for at in range(len(chunks)) for result in found[at]]
        self.adapter = mean([result.end for result in results])
        return [list(result.losses) for result in results]


@dataclass(frozen=True)
class Turn:
    """What one side's round took.

    Attributes
    ----------
    wall_s, cpu_s
        Seconds by the clock, and of all cores that the side's own process used.
    """

    wall_s: float
    cpu_s: float
    losses: Losses


@dataclass
class Record:
    """All that is known of a side in a group.

    Attributes
    ----------
    start_s
        Seconds that its process took to start and to do a first round, compiling included.
    peak_mib, before_mib
        Largest resident memory of its process, and what that was before the first round.
    losses, moved
        Of each round, the first among them; how far the global adapter moved.
    """

    name: str
    cores: int
    start_s: float = 0.0
    before_mib: float = 0.0
    peak_mib: float = 0.0
    losses: list[Losses] = field(default_factory=list)
    moved: list[FloatArray] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """For people and programs."""
        clients = len(self.losses[0])
        return {
            "side": self.name,
            "cores": self.cores,
            "rounds": len(self.turns),
            "clients_a_round": clients,
            "clients_per_second": spread([clients / turn.wall_s for turn in self.turns]),
            "clients_per_cpu_second": (
                spread([clients / turn.cpu_s for turn in self.turns])
                if tells_cpu_time(self.name, self.cores)
                else None
            ),
            "start_s": self.start_s,
            "memory_before_mib": self.before_mib,
            "memory_peak_mib": self.peak_mib,
            "final_loss": float(np.mean([losses[-1] for losses in self.losses[-1]])),
        }


def has_processes(side: str) -> bool:
    """Whether a side uses several cores by as many processes, and not by threads."""
    return side == "flower" or side.startswith("fsim")


def tells_cpu_time(side: str, cores: int) -> bool:
    """Whether a side's CPU time is that of one process."""
    return side != "flower" and (cores == 1 or not has_processes(side))


def missing(settings: str, side: str) -> str | None:
    """Why a side cannot take part, if it cannot."""
    if side in PACKAGES and importlib.util.find_spec(PACKAGES[side]) is None:
        return f"the package {PACKAGES[side]} is not installed"
    if side == "flower" and importlib.util.find_spec("ray") is None:
        return "the package ray is not installed (flwr[simulation] brings it)"
    if settings == "smollm2":
        from fsim.core.errors import ScenarioError
        from fsim.model.loading import model_folder

        try:
            model_folder("smollm2-135m")
        except ScenarioError as error:
            return str(error)
    return None


def serve(connection: Connection, settings: str, side: str, cores: int, width: int | None) -> None:
    """In a side's process: do the rounds that are asked for."""
    try:
        import torch

        torch.set_num_threads(1 if has_processes(side) else cores)
        if side == "flower":
            from benchmarks.rivals.flower_side import serve as serve_flower

            serve_flower(settings, cores, lambda flower: answer(connection, flower))
        else:
            answer(connection, _make(side, make_workload(settings), width, cores))
    except Exception:
        connection.send(("failed", traceback.format_exc()))


def _make(side: str, workload: Workload, width: int | None, cores: int) -> Side:
    dtype = "bfloat16" if "bfloat16" in side else "float32"
    if side.startswith("bare"):
        from benchmarks.rivals.bare import Bare

        return Bare(workload, dtype)
    if side == "pfl":
        from benchmarks.rivals.pfl_side import Pfl

        return Pfl(workload)
    return Ours(workload, width, dtype, compiled="compiled" in side, workers=cores)


def answer(connection: Connection, side: Side) -> None:
    """ClientResult until told to stop."""
    connection.send(("ready", None))
    while True:
        command, argument = connection.recv()
        if command == "stop":
            return
        reply: Any
        if command == "load":
            side.load(argument)
            reply = None
        elif command == "adapter":
            reply = side.adapter
        elif command == "memory":
            reply = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        else:
            wall, cpu = time.perf_counter(), time.process_time()
            losses = side.round(argument)
            reply = Turn(time.perf_counter() - wall, time.process_time() - cpu, losses)
        connection.send(("done", reply))


class Worker:
    """A side in a process of its own."""

    def __init__(self, settings: str, side: str, cores: int, width: int | None) -> None:
        # Spawned: its peak memory is its own, and its threads are as many as it was given.
        context = multiprocessing.get_context("spawn")
        self.side, begun = side, time.perf_counter()
        self._connection, theirs = context.Pipe()
        arguments = (theirs, settings, side, cores, width)
        # pfl trains in a process of this name alone: it takes others for readers of data.
        self._process = context.Process(target=serve, args=arguments, name="MainProcess")
        self._process.start()
        theirs.close()
        self._receive()
        self.start_s = time.perf_counter() - begun

    def ask(self, command: str, argument: Any = None) -> Any:
        """What the side answers."""
        self._connection.send((command, argument))
        return self._receive()

    def _receive(self) -> Any:
        try:
            state, reply = self._connection.recv()
        except EOFError:
            raise SystemExit(f"{self.side}: its process ended without an answer") from None
        if state == "failed":
            raise SystemExit(f"{self.side} failed:\n{reply}")
        return reply

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # it may have ended by itself
            self._connection.send(("stop", None))
        self._process.join(timeout=60)
        if self._process.is_alive():
            self._process.terminate()


def measure(
    settings: str,
    cores: int,
    sides: Sequence[str],
    repetitions: int,
    width: int | None,
    say: Callable[[str], None],
) -> dict[str, Record]:
    """Let sides take turns: one round each, again and again."""
    records: dict[str, Record] = {}
    with ExitStack() as stack:
        workers = []
        for name in sides:
            say(f"starting {name}, {cores} core{'s' * (cores > 1)}")
            workers.append(stack.enter_context(Worker(settings, name, cores, width)))
        adapter = workers[0].ask("adapter")
        # Round 0 is not timed.
        for number in range(repetitions + 1):
            say(f"round {number} of {repetitions}")
            ends = []
            for worker in workers:
                # All begin each round where the first one is, so that rounding does not add up
                # from round to round, and a base in bfloat16 does not draw an adapter of its own.
                worker.ask("load", adapter)
                if number == 0:
                    records[worker.side] = Record(
                        worker.side, cores, before_mib=worker.ask("memory")
                    )
                record = records[worker.side]
                turn: Turn = worker.ask("round", number)
                if number == 0:
                    record.start_s = worker.start_s + turn.wall_s
                else:
                    record.turns.append(turn)
                record.losses.append(turn.losses)
                ends.append(worker.ask("adapter"))
                record.moved.append(ends[-1] - adapter)
            adapter = ends[0]
        for worker in workers:
            records[worker.side].peak_mib = worker.ask("memory")
    return records


def compare(match: Match, ours: Record, theirs: Record) -> dict[str, Any]:
    """A match's ratios (clients per second of ours over theirs) and whether the work was equal."""
    pairs = list(zip(ours.turns, theirs.turns, strict=True))
    one, other = np.array(ours.losses), np.array(theirs.losses)
    apart = max(
        float(np.linalg.norm(a - b) / np.linalg.norm(b))
        for a, b in zip(ours.moved, theirs.moved, strict=True)
    )
    tolerance, agree = TOLERANCE, apart <= TOLERANCE_MOVED
    if "bfloat16" in match.ours:
        tolerance, agree = TOLERANCE_BFLOAT16, True
        one, other = one[:1, :, :1], other[:1, :, :1]
    difference = float(np.max(np.abs(one - other) / np.abs(other)))
    alone = all(tells_cpu_time(side.name, side.cores) for side in (ours, theirs))
    return {
        "ours": match.ours,
        "theirs": match.theirs,
        "target": match.target,
        "goal": match.goal,
        "cores": ours.cores,
        "ratio_wall": spread([b.wall_s / a.wall_s for a, b in pairs]),
        "ratio_cpu": spread([b.cpu_s / a.cpu_s for a, b in pairs]) if alone else None,
        "losses_compared": int(one.size),
        "loss_difference": difference,
        "tolerance": tolerance,
        "losses_agree": bool(difference <= tolerance),
        "adapter_difference": apart,
        "work_is_equal": bool(agree and difference <= tolerance),
    }


def versions() -> dict[str, str]:
    """Of what takes part."""
    found = {}
    for name in ("torch", "transformers", "peft", "pfl", "flwr", "ray"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> dict[str, Any]:
    """What the machine computes with."""
    flags: set[str] = set()
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
    told = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return {"model": model, "cores": os.cpu_count(), "instructions": told}


def print_report(console: Console, report: dict[str, Any]) -> None:
    """Two tables: the matches, then the sides."""

    def told(values: dict[str, float] | None) -> str:
        if values is None:
            return "-"
        return f"[b]{values['median']:.2f}[/b] ({values['min']:.2f} to {values['max']:.2f})"

    quick = ", quick" if report["quick"] else ""
    table = Table(title=f"{report['settings']}{quick}: clients per second, ours over theirs")
    for heading in ("match", "cores", "by the clock", "by CPU time", "target"):
        table.add_column(heading)
    for match in report["matches"]:
        target = "-" if match["target"] is None else f"{match['target']:g}"
        if match["goal"] is not None:
            target += f", goal {match['goal']:g}"
        table.add_row(
            f"{match['ours']} / {match['theirs']}",
            str(match["cores"]),
            told(match["ratio_wall"]),
            told(match["ratio_cpu"]),
            target,
        )
    console.print(table)
    equal = Table(title="the same work?")
    for heading in ("match", "losses differ by", "allowed", "adapters by", "verdict"):
        equal.add_column(heading)
    for match in report["matches"]:
        equal.add_row(
            f"{match['ours']} / {match['theirs']}",
            f"{match['loss_difference']:.1e}",
            f"{match['tolerance']:g}",
            f"{match['adapter_difference']:.1e}",
            "losses agree" if match["work_is_equal"] else "[red]THEY DO NOT AGREE[/red]",
        )
    console.print(equal)
    sides = Table(title="sides")
    for heading in ("side", "clients/s", "clients/CPU s", "peak MiB", "before", "start s"):
        sides.add_column(heading)
    for side in report["sides"]:
        sides.add_row(
            f"{side['side']}, {side['cores']}",
            told(side["clients_per_second"]),
            told(side["clients_per_cpu_second"]),
            f"{side['memory_peak_mib']:.0f}",
            f"{side['memory_before_mib']:.0f}",
            f"{side['start_s']:.0f}",
        )
    console.print(sides)
    console.print(
        "Median (smallest to largest) of the turns. Targets are by the clock; on a busy machine "
        "the ratio by CPU time is the more honest one. A side's number is that of its cores, used "
        "by processes (fsim, Flower) or by threads; memory is that of its first process, and what "
        "it was before training."
    )
    for side, reason in report["skipped"].items():
        console.print(f"skipped {side}: {reason}", markup=False)


def run(
    settings: str,
    *,
    quick: bool,
    repetitions: int | None,
    compiled: bool,
    width: int | None,
    against: Sequence[str] | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measure all that is there to be measured."""
    plan = PLANS[settings]
    rounds = repetitions or (plan.quick if quick else plan.repetitions)
    skipped: dict[str, str] = {}
    matches: list[dict[str, Any]] = []
    sides: list[dict[str, Any]] = []
    for group in plan.groups:
        wanted = [match for match in group.matches if not (quick and match.thorough)]
        if compiled:
            wanted += [replace(match, ours=f"{match.ours}-compiled") for match in wanted]
        if against:
            wanted = [match for match in wanted if match.theirs in against]
        for match in wanted:
            for side in (match.ours, match.theirs):
                reason = missing(settings, side)
                if reason is not None:
                    skipped[side] = reason
        wanted = [m for m in wanted if m.ours not in skipped and m.theirs not in skipped]
        if not wanted:
            continue
        present = Group(group.cores, tuple(wanted)).sides()
        records = measure(settings, group.cores, present, rounds, width, say)
        sides += [record.summary() for record in records.values()]
        matches += [compare(m, records[m.ours], records[m.theirs]) for m in wanted]
    return {
        "settings": settings,
        "quick": quick,
        "processor": processor(),
        "python": platform.python_version(),
        "versions": versions(),
        "matches": matches,
        "sides": sides,
        "skipped": skipped,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if sides did not do the same work."""
    parser = command_line("benchmarks.training", str(__doc__), "few rounds")
    parser.add_argument("--settings", choices=PLANS, default="small")
    parser.add_argument("--repetitions", type=int, help="timed rounds of each side")
    parser.add_argument(
        "--compile", action="store_true", help="also measure this project with torch.compile"
    )
    parser.add_argument("--width", type=int, help="clients side by side (default: automatic)")
    rivals = sorted({m.theirs for plan in PLANS.values() for g in plan.groups for m in g.matches})
    parser.add_argument(
        "--against", action="append", choices=rivals, help="only this side; may be repeated"
    )
    chosen = parser.parse_args(arguments)
    for option in ("repetitions", "width"):
        if getattr(chosen, option) is not None and getattr(chosen, option) < 1:
            parser.error(f"--{option}: found {getattr(chosen, option)}, allowed is 1 or more")
    # No side may use more threads than its turn allows, report home, or fetch anything.
    os.environ |= {
        "FLWR_TELEMETRY_ENABLED": "0",
        "HF_HUB_OFFLINE": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with Console(stderr=True).status("") as status:
        report = run(
            chosen.settings,
            quick=chosen.quick,
            repetitions=chosen.repetitions,
            compiled=chosen.compile,
            width=chosen.width,
            against=chosen.against,
            say=status.update,
        )
    print_report(Console(), report)
    save(report, chosen.json)
    return 0 if all(match["work_is_equal"] for match in report["matches"]) else 1


if __name__ == "__main__":
    sys.exit(main())
