"""Learning that is recorded, not done: who answered what can be read from the adapter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fsim.core.errors import TrainingDiverged
from fsim.core.types import FloatArray, GradientCorrection, Layout, TrainingRequest, Update
from fsim.evaluation.evaluation import Evaluation
from fsim.simulation.learner import LARGEST
from fsim.store.memory_cache import MemoryCache
from fsim.training.trainer import TrainingJob, TrainingResult

OVERFLOWS: dict[str, float] = {
    "huge": 2.0**123,
    "over": float(np.nextafter(LARGEST, np.inf, dtype=np.float32)),
    "edge": LARGEST,
    "inf": np.inf,
    "nan": np.nan,
}
"""Name -> the largest coordinate of an update that overflows; only that at the edge is allowed."""

STEP = 1 / 64
"""By which the tags of askings that follow one another differ: exact in float16 and bfloat16."""

TAGS = ("x.lora_A.weight", "x.lora_B.weight")
"""The tensors that hold tags, a coordinate a client."""


@dataclass(frozen=True)
class Learning:
    """What clients are to learn.

    Attributes
    ----------
    examples
        Of each client.
    operations
        Of a local step.
    tagged
        Whether updates say who made them, and are otherwise zero; if not they are random.
    diverging, overflowing
        Shares of the trainings whose loss becomes NaN, and whose update overflows.
    overflow
        How it does, of :data:`OVERFLOWS`.
    remembered
        Whether results have keys, so that their payloads are remembered.
    """

    examples: tuple[int, ...]
    operations: float = 1e9
    tagged: bool = False
    diverging: float = 0.0
    overflowing: float = 0.0
    overflow: str = "huge"
    remembered: bool = False

    @classmethod
    def of(cls, data: dict[str, Any]) -> Learning:
        """From what :meth:`to_data` gave."""
        return cls(**{**data, "examples": tuple(data["examples"])})

    def to_data(self) -> dict[str, Any]:
        """As YAML can hold it."""
        return {**dataclasses.asdict(self), "examples": list(self.examples)}


class RecordedLearner:
    """A learner (:class:`fsim.simulation.learner.Learner`) that draws its results and lists them.

    A tagged update of client c has ``1 + k / 64`` at c in the one tensor and 1 in the other, k
    being a number of the asking: their ratio tells which asking entered the adapter.

    Attributes
    ----------
    asking_of
        Client -> the number of its asking in progress; the world's observer sets it.
    submitted
        Client, round and repetition of every job that was trained.
    useless
        Numbers of the askings whose training diverged or overflowed.
    evaluated
        How many adapters were.
    """

    parameters = 1000

    def __init__(
        self,
        learning: Learning,
        seed: int,
        request: TrainingRequest,
        trains: Callable[[str, int], bool],
        cache: MemoryCache | None = None,
    ) -> None:
        self._learning, self._seed, self._request, self._trains = learning, seed, request, trains
        self.cache = cache or MemoryCache()
        clients = len(learning.examples)
        zeros = {
            "x.lora_A.weight": np.zeros((1, clients), np.float32),
            "x.lora_B.weight": np.zeros((clients, 1), np.float32),
            "y.lora_A.weight": np.zeros((2, 6), np.float32),
            "y.lora_B.weight": np.zeros((5, 2), np.float32),
        }
        self.layout = Layout.of(zeros)
        self.initial: Update = zeros
        if not learning.tagged:
            self.initial = self._drawn(np.random.default_rng([seed, 1]), 1.0)
        self.facts: dict[str, Any] = {}
        self.asking_of: dict[int, int] = {}
        self.submitted: list[tuple[int, int, int]] = []
        self.useless: list[int] = []
        self.evaluated = 0
        self._again: dict[int, int] = {}
        self._queue: dict[int, tuple[TrainingJob, int, int]] = {}

    def examples(self, client: int) -> int:
        """See :class:`fsim.simulation.learner.Learner`."""
        return self._learning.examples[client]

    def job(
        self,
        client: int,
        round_number: int,
        adapter: Update,
        steps: int,
        correction: GradientCorrection | None = None,
        again: int = 0,
    ) -> TrainingJob:
        """See :class:`fsim.simulation.learner.Learner`; a job's seed is which repetition it is."""
        frozen = frozenset(name for name in adapter if not self._trains(name, round_number))
        return TrainingJob(client, round_number, adapter, [()] * steps, frozen, correction, again)

    def operations(self, job: TrainingJob) -> float:
        """See :class:`fsim.simulation.learner.Learner`."""
        return self._learning.operations * len(job.batches)

    def submit(self, job: TrainingJob) -> int:
        """See :class:`fsim.simulation.learner.Learner`."""
        self.submitted.append((job.client, job.round_number, job.seed))
        ticket = len(self.submitted)
        self._queue[ticket] = job, self.asking_of.get(job.client, 0), ticket
        return ticket

    def result(self, ticket: int) -> TrainingResult:
        """See :class:`fsim.simulation.learner.Learner`.

        Raises
        ------
        TrainingDiverged
            As a trainer would, in the share of the trainings that are to diverge.
        """
        job, asking, _ = self._queue.pop(ticket)
        rng = np.random.default_rng([self._seed, job.client, job.round_number, asking])
        diverges, overflows = rng.random(2)
        if diverges < self._learning.diverging:
            self.useless.append(asking)
            raise TrainingDiverged(
                f"client {job.client}, round {job.round_number}: the training loss became nan at "
                "local step 1"
            )
        delta = self._tag(job.client, asking) if self._learning.tagged else self._drawn(rng, 1e-2)
        for name in job.frozen:
            delta[name] = np.zeros_like(delta[name])
        if overflows < self._learning.overflowing:
            delta = _overflown(delta, OVERFLOWS[self._learning.overflow])
            if self._learning.overflow != "edge":
                self.useless.append(asking)
        asks = self._request
        return TrainingResult(
            delta=delta,
            fisher=None if asks.sensitivity is None else _squares(self._drawn(rng, 1.0)),
            losses=tuple(rng.uniform(0, 4, len(job.batches)).tolist()),
            tokens_kept=1.0,
            scales=None
            if asks.binarisation is None
            else dict.fromkeys(delta, asks.binarisation.largest),
            key=f"{self._seed}/{asking}" if self._learning.remembered else "",
        )

    def evaluate(self, adapter: Update) -> Evaluation:
        """See :class:`fsim.simulation.learner.Learner`; the accuracy is as good as random."""
        self.evaluated += 1
        total = float(sum(float(np.sum(array, dtype=np.float64)) for array in adapter.values()))
        swing = math.sin(37.0 * total + self.evaluated) if math.isfinite(total) else 0.0
        accuracy = 0.5 + 0.5 * swing
        return Evaluation(accuracy, 2 - accuracy, math.exp(2 - accuracy), accuracy, "recorded", {})

    def final_facts(self) -> dict[str, Any]:
        """See :class:`fsim.simulation.learner.Learner`."""
        return {}

    def save(self, adapter: Update, folder: Path) -> None:
        """See :class:`fsim.simulation.learner.Learner`; there is nothing to write."""

    def _tag(self, client: int, asking: int) -> Update:
        delta = {spec.name: np.zeros(spec.shape, np.float32) for spec in self.layout.tensors}
        delta[TAGS[0]][0, client] = tag_of(asking)
        delta[TAGS[1]][client, 0] = 1.0
        return delta

    def _drawn(self, rng: np.random.Generator, size: float) -> Update:
        vector = (size * rng.standard_normal(self.layout.size)).astype(np.float32)
        return self.layout.unflatten(vector)


def tag_of(asking: int) -> float:
    """What tells an asking: 1 to 2, the same for askings that are 64 apart."""
    return 1.0 + STEP * (asking % 64)


def tags_in(step: Update) -> tuple[FloatArray, FloatArray]:
    """What a step of the adapter holds of each client's two tags, shape (clients,) each."""
    return step[TAGS[0]][0], step[TAGS[1]][:, 0]


def _overflown(delta: Update, largest: float) -> Update:
    """As many times an update that its largest coordinate is that one."""
    highest = max(float(np.abs(array).max()) for array in delta.values())
    grown = {}
    for name, array in delta.items():
        whole = array.astype(np.float64) / highest
        # Zeros stay, that a NaN or an infinity touches nothing else.
        with np.errstate(invalid="ignore"):
            grown[name] = np.where(whole == 0, 0, whole * largest).astype(np.float32)
    return grown


def _squares(update: Update) -> Update:
    return {name: np.square(array) for name, array in update.items()}
