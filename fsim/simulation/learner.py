"""The learner, as the world sees it: jobs, results, evaluations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from typing_extensions import override

from fsim.core.errors import TrainingDiverged
from fsim.core.rng import participation, stream, torch_seed
from fsim.core.types import GradientCorrection, Layout, Update
from fsim.data.encoding import BatchShape, draw_batches
from fsim.evaluation.evaluation import Evaluation
from fsim.evaluation.stored import StoredEvaluator
from fsim.settings.loading import LoadedScenario
from fsim.simulation.build import PreparedTask, prepare_task
from fsim.store import Store
from fsim.store.memory_cache import MemoryCache
from fsim.training.trainer import Trainer, TrainingJob, TrainingResult, automatic_width

LARGEST = float(np.finfo(np.float16).max)
"""The largest coordinate that an update may have. Beyond, half precision ends, and no training that
goes well gets there: such an update is refused under every policy, be it one that could send it."""


class Learner(Protocol):
    """The models and data of a run, as its world uses them.

    Attributes
    ----------
    initial
        The adapter to begin with.
    layout
        Its tensors.
    parameters
        Of the base model.
    facts
        For the summary.
    cache
        Recent results of runs with this model and data.
    """

    initial: Update
    layout: Layout
    parameters: int
    facts: dict[str, Any]
    cache: MemoryCache

    def examples(self, client: int) -> int:
        """Training examples that a client has."""
        ...

    def job(
        self,
        client: int,
        round_number: int,
        adapter: Update,
        steps: int,
        correction: GradientCorrection | None = None,
        repeat: int = 0,
    ) -> TrainingJob:
        """A client's training in a round, from an adapter.

        ``correction`` is added to each of its gradients; ``repeat`` is the number of times that the
        client was asked before in this round: each draws its own batches.
        """
        ...

    def operations(self, job: TrainingJob) -> float:
        """Floating-point operations of a job."""
        ...

    def submit(self, job: TrainingJob) -> int:
        """Queue a job; the ticket fetches its result."""
        ...

    def result(self, ticket: int) -> TrainingResult:
        """The result of a queued job, once."""
        ...

    def evaluate(self, adapter: Update) -> Evaluation:
        """Held-out quality of an adapter."""
        ...

    def final_facts(self) -> dict[str, Any]:
        """Figures for the summary that are complete at the end of a run."""
        ...

    def save(self, adapter: Update, folder: Path) -> None:
        """Write an adapter."""
        ...


class RealLearner(Learner):
    """The scenario's own model and data, really trained.

    Parameters
    ----------
    loaded
        The scenario.
    store
        Holds training results and evaluations for later runs; None computes everything.
    build
        Makes model and data ready.
    workers
        Processes that share the training.
    """

    def __init__(
        self,
        loaded: LoadedScenario,
        store: Store | None,
        build: Callable[[LoadedScenario], PreparedTask] = prepare_task,
        workers: int = 1,
    ) -> None:
        scenario = self._scenario = loaded.scenario
        prepared = build(loaded)
        if prepared.adapted.device.type != "cpu":
            workers = 1  # a GPU's state does not survive a fork, and one process keeps it busy
        training = scenario.training
        stored = store
        if training.measure_memory:
            stored, workers = None, 1  # what is in the store takes nothing
        self._adapted, self._shards = prepared.adapted, prepared.shards
        rows = [row for shard in prepared.shards for row in shard]
        self._evaluator = StoredEvaluator(
            prepared.adapted, prepared.test, prepared.test_examples, scenario.metric, store, workers
        )
        shape = BatchShape.of(rows, training.batch_size)
        width = training.cohort_width or automatic_width(
            shape, prepared.adapted.model.config.hidden_size, scenario.protocol.clients_per_round
        )
        self._policy = scenario.compression.make()
        request = self._policy.training_request()
        self.cache = prepared.cache
        self._trainer = Trainer(
            prepared.adapted,
            shape,
            training,
            request,
            width,
            store=stored,
            workers=workers,
            cache=self.cache,
        )
        self.initial, self.layout = prepared.adapted.initial, prepared.adapted.layout
        self.parameters = int(prepared.adapted.model.num_parameters())
        self.facts = {
            "adapter_parameters": self.layout.size,
            "cohort_width": self._trainer.width,
            "training_examples": len(rows),
            "test_examples": len(prepared.test),
            "smallest_shard": min(len(shard) for shard in prepared.shards),
            "largest_shard": max(len(shard) for shard in prepared.shards),
            "prompts_shortened": sum(row.truncated for row in rows),
            "items_skipped": prepared.skipped,
            "labels_in_no_shard": prepared.unseen_labels,
        }

    @override
    def examples(self, client: int) -> int:
        return len(self._shards[client])

    @override
    def job(
        self,
        client: int,
        round_number: int,
        adapter: Update,
        steps: int,
        correction: GradientCorrection | None = None,
        repeat: int = 0,
    ) -> TrainingJob:
        keys = participation(client, round_number, repeat)
        batches = draw_batches(
            self._shards[client],
            steps,
            self._scenario.training.batch_size,
            stream(self._scenario.seed, "learning.batches", *keys),
        )
        frozen = (name for name in adapter if not self._policy.trains(name, round_number))
        return TrainingJob(
            client,
            round_number,
            adapter,
            batches,
            frozenset(frozen),
            correction,
            torch_seed(self._scenario.seed, "learning.binarisation", *keys),
        )

    @override
    def operations(self, job: TrainingJob) -> float:
        return self._trainer.operations(job)

    @override
    def submit(self, job: TrainingJob) -> int:
        return self._trainer.submit(job)

    @override
    def result(self, ticket: int) -> TrainingResult:
        return self._trainer.result(ticket)

    @override
    def evaluate(self, adapter: Update) -> Evaluation:
        return self._evaluator.evaluate(adapter)

    @override
    def save(self, adapter: Update, folder: Path) -> None:
        self._adapted.save(adapter, folder)

    def close(self) -> None:
        """End the other processes."""
        self._trainer.close()
        self._evaluator.close()

    @override
    def final_facts(self) -> dict[str, Any]:
        trainer = self._trainer
        facts = {"jobs_trained": trainer.trained, "jobs_reused": trainer.reused}
        if trainer.memory is not None:
            facts["training_memory_bytes"] = trainer.memory.peak
        return facts


def check_result(result: TrainingResult, where: str) -> None:
    """Refuse what no server could use, whatever the policy makes of it.

    Parameters
    ----------
    where
        Whose result it is, as the error begins.

    Raises
    ------
    TrainingDiverged
        A loss is not finite, or a coordinate has changed by more than :data:`LARGEST`.
    """
    if not np.isfinite(result.losses).all():
        raise TrainingDiverged(f"{where}: the training loss is not finite")
    for name, values in result.delta.items():
        # Written so that a NaN is too large as well.
        within = np.abs(values) <= LARGEST
        if not within.all():
            raise TrainingDiverged(
                f"{where}: {name} changed by {values[~within][0]:g}, allowed is {LARGEST:g} at most"
            )
