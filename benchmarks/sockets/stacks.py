"""What carries the payloads of a recorded run, and its seconds beside fsim's."""

from __future__ import annotations

import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from benchmarks.sockets import flower
from benchmarks.sockets.plan import Case
from benchmarks.sockets.recorded import Recording, record
from benchmarks.sockets.twin import Played, certificate, play


class Stack(ABC):
    """Sockets and what lies on top of them.

    Attributes
    ----------
    name
        As in tables.
    """

    name: str

    def can_play(self, case: Case) -> bool:
        """Whether a run can be played over it."""
        return True

    @abstractmethod
    def settings(self, scenario: Mapping[str, Any], queue: float) -> dict[str, Any]:
        """A scenario with what fsim has to be told of it, with queues of so many bytes."""

    @abstractmethod
    def play(self, recording: Recording, case: Case, queue: float, folder: Path) -> list[Played]:
        """All rounds of a recording; files go to a folder."""

    def compares(self, recording: Recording) -> list[int]:
        """Which rounds can be compared, from 0."""
        return list(range(len(recording.rounds)))


@dataclass(frozen=True)
class Sockets(Stack):
    """Processes of the project's own.

    Attributes
    ----------
    tls
        ``none`` or ``1.3``.
    fifo
        Whether all clients share one queue at the server's door; else each has its own, and they
        take turns there.
    """

    name: str
    tls: str = "none"
    fifo: bool = False

    @override
    def can_play(self, case: Case) -> bool:
        return not self.fifo or bool(case.scenario["server"])

    @override
    def settings(self, scenario: Mapping[str, Any], queue: float) -> dict[str, Any]:
        server = dict(scenario["server"])
        if self.fifo:
            server |= {f"{door}_queue": f"{queue:.0f} B" for door in scenario["server"]}
        transport = {**scenario["transport"], "tls": self.tls}
        return {**scenario, "transport": transport, "server": server}

    @override
    def play(self, recording: Recording, case: Case, queue: float, folder: Path) -> list[Played]:
        identity = None if self.tls == "none" else certificate(folder)
        return play(recording, "cubic", case.fresh, identity, queue, self.fifo)


@dataclass(frozen=True)
class Flower(Stack):
    """A server and clients of Flower.

    Runs whose rounds end with the last client can be played, over connections that are kept; rounds
    can be compared in which no client is new, for Flower's are connected before the first.
    """

    name: str = "Flower"

    @override
    def can_play(self, case: Case) -> bool:
        of_kind = case.scenario["protocol"]["kind"] == "synchronous" and not case.fresh
        return of_kind and flower.is_installed()

    @override
    def settings(self, scenario: Mapping[str, Any], queue: float) -> dict[str, Any]:
        # 1.036 bytes for one, as TCP's headers make it, and 0.4 to 0.5 kB more were measured on the
        # wire of Flower 1.42.
        return {**scenario, "transport": {**scenario["transport"], "framing": "450 B"}}

    @override
    def play(self, recording: Recording, case: Case, queue: float, folder: Path) -> list[Played]:
        return flower.play(recording, queue)

    @override
    def compares(self, recording: Recording) -> list[int]:
        known: set[int] = set()
        rounds = []
        for at, round_ in enumerate(recording.rounds):
            asked = {upload.client for upload in round_.uploads}
            if asked <= known:
                rounds.append(at)
            known |= asked
        return rounds


STACKS: tuple[Stack, ...] = (
    Sockets("TCP"), Sockets("TLS 1.3", tls="1.3"), Sockets("TCP, FIFO", fifo=True), Flower(),
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One run over one stack.

    Attributes
    ----------
    case
        What was drawn.
    stack
        Name of what carried it.
    simulated
        Seconds of each round in fsim.
    measured
        Seconds of each round over sockets, shape (repetitions, rounds).
    uploads
        Seconds of each upload that was in time on both sides, from its round's beginning: fsim's,
        and the median of those measured.
    """

    case: Case
    stack: str
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


def compare(
    case: Case, stack: Stack, repetitions: int, queue: float, folder: Path
) -> Comparison | None:
    """Record a run and play it over links with queues of so many bytes.

    Returns
    -------
    Comparison or None
        None where no round of the run can be compared.
    """
    recording = record(stack.settings(case.scenario, queue), folder / "payloads")
    compared = stack.compares(recording)
    if not compared:
        return None
    plays = [stack.play(recording, case, queue, folder) for _ in range(repetitions)]
    uploads = tuple(
        (upload.seconds, statistics.median(seconds))
        for at in compared
        for upload in recording.rounds[at].uploads
        if not upload.late and (seconds := _seen(plays, at, upload.client))
    )
    return Comparison(
        case,
        stack.name,
        tuple(recording.rounds[at].seconds for at in compared),
        tuple(tuple(played[at].seconds for at in compared) for played in plays),
        uploads,
    )


def _seen(plays: Sequence[Sequence[Played]], at: int, client: int) -> list[float]:
    return [play[at].uploads[client] for play in plays if client in play[at].uploads]
