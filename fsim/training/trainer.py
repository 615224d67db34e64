"""The queue between the clock and the training of cohorts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fsim.core.errors import TrainingDiverged
from fsim.core.processes import Workers
from fsim.core.types import FloatArray, GradientCorrection, Layout, TrainingRequest, Update
from fsim.data.encoding import BatchShape, Encoded
from fsim.model.adapter import AdaptedModel
from fsim.store import Store, key_of
from fsim.store.memory_cache import MemoryCache
from fsim.training.cohort import Cohort, SlotJob, SlotResult
from fsim.training.cost import TrainingCost
from fsim.training.gradient_correction import SlotCorrection
from fsim.training.memory import TrainingMemory
from fsim.training.provenance import array_digest, rows_digest, training_origin
from fsim.training.settings import TrainingSettings

ACTIVATIONS_IN_CACHE = 2**19
"""Bytes of a layer's activations at which a pass no longer gains from more clients side by side
(``benchmarks/training.py``, docs/performance.md)."""

PASS_COST = 0.2
"""What a pass costs whatever its width, as a share of what each client in it costs."""


@dataclass(frozen=True)
class TrainingJob:
    """One client's local training in one round.

    Attributes
    ----------
    adapter
        The global adapter that it starts from.
    batches
        The rows of each local step.
    frozen
        Tensors of the adapter that are not trained.
    correction
        What is added to each gradient; nothing if None.
    seed
        Of this client and round, for the draws that binarised training makes.
    """

    client: int
    round_number: int
    adapter: Update
    batches: Sequence[Sequence[Encoded]]
    frozen: frozenset[str] = frozenset()
    correction: GradientCorrection | None = None
    seed: int = 0


@dataclass(frozen=True)
class TrainingResult:
    """Result of local training.

    Attributes
    ----------
    delta
        The adapter after training minus the one before.
    fisher
        Diagonal Fisher of its coordinates, where sensitivities were asked for.
    losses
        Mean loss over the positions trained on, a value a step.
    tokens_kept
        Share of the maskable positions that were trained on.
    token_recall
        As :class:`fsim.training.cohort.SlotResult` has it.
    scales
        The step size of each matrix, by name, where binarised training was asked for.
    key
        What it is stored under; empty without a store.
    """

    delta: Update
    fisher: Update | None
    losses: tuple[float, ...]
    tokens_kept: float
    token_recall: float | None = None
    scales: dict[str, float] | None = None
    key: str = ""


def automatic_width(shape: BatchShape, model_width: int, together: int) -> int:
    """Clients trained side by side by default: 1 to 16, fewer the larger model and batch are.

    Of the widths that the cache allows, the one at which ``together`` clients cost least, an empty
    slot costing as much as a full one.

    Parameters
    ----------
    shape
        Of a client's batch.
    model_width
        The model's hidden size.
    together
        Clients that usually train at a time.
    """
    activations = shape.rows * shape.length * model_width * 4
    most = min(16, max(1, ACTIVATIONS_IN_CACHE // activations), together)
    return min(
        range(1, most + 1),
        key=lambda width: (-(-together // width) * (width + PASS_COST), -width),
    )


class Trainer:
    """Trains clients when their results are needed.

    A job is queued when its client starts to compute. When the first queued result is asked for,
    all queued jobs are trained, as many side by side as the cohort is wide: the event loop decides
    when, the trainer how many at once.

    Parameters
    ----------
    adapted
        The model.
    shape
        Of a client's batch; fixed, so that a result does not depend on who else is trained.
    settings
        Of the local training. Memory is measured without a store, and alone.
    request
        What the compression policy asks for.
    width
        Clients side by side (:func:`automatic_width` chooses well).
    store
        Where results are looked up and kept; None trains everything.
    workers
        Processes that train cohorts side by side, this one included. No result depends on it.
    cache
        Where results are kept beside the store, for another run in this process.

    Attributes
    ----------
    trained, reused
        Jobs whose result was computed, and those whose result was in the store.
    memory
        What the jobs took, where that is measured.
    """

    def __init__(
        self,
        adapted: AdaptedModel,
        shape: BatchShape,
        settings: TrainingSettings,
        request: TrainingRequest,
        width: int,
        store: Store | None = None,
        workers: int = 1,
        cache: MemoryCache | None = None,
    ) -> None:
        if settings.measure_memory and (store is not None or workers != 1):
            raise ValueError("memory is measured in one process, of what it trains itself")
        self._layout = adapted.layout
        self._draws = request.binarisation is not None
        self.width = width
        cohort = Cohort(adapted, self.width, shape, settings, request)
        self.memory = TrainingMemory(cohort) if settings.measure_memory else None
        train = cohort.train if self.memory is None else self.memory.train
        self._workers = Workers(train, workers)
        self._cost = TrainingCost(adapted, cohort.merging)
        self._queue: dict[int, TrainingJob] = {}
        self._results: dict[int, tuple[TrainingJob, str, SlotResult]] = {}
        self._ready: dict[int, TrainingResult] = {}
        self._cache = cache or MemoryCache()
        self._tickets = 0
        self._store = store
        self.trained = self.reused = 0
        self._origin: dict[str, Any] = {}
        if store is not None:
            self._origin = training_origin(adapted, shape, settings, request, self.width)

    def operations(self, job: TrainingJob) -> float:
        """Floating-point operations of a job."""
        return self._cost.operations(job.batches)

    def submit(self, job: TrainingJob) -> int:
        """Queue a job; the ticket fetches its result."""
        self._tickets += 1
        self._queue[self._tickets] = job
        return self._tickets

    def result(self, ticket: int) -> TrainingResult:
        """The result of a queued job, once.

        Raises
        ------
        TrainingDiverged
            The client's loss became NaN or infinite, or its adapter did.
        """
        if ticket not in self._ready and ticket not in self._results:
            self._train_queue()
        if ticket in self._ready:
            return self._ready.pop(ticket)
        job, key, slot_result = self._results.pop(ticket)
        where = f"client {job.client}, round {job.round_number}"
        for step, loss in enumerate(slot_result.losses, 1):
            if not math.isfinite(loss):
                raise TrainingDiverged(
                    f"{where}: the training loss became {loss} at local step {step}"
                )
        if not np.isfinite(slot_result.end).all():
            raise TrainingDiverged(f"{where}: the adapter is not finite after the last local step")
        after = self._layout.unflatten(slot_result.end)
        result = TrainingResult(
            delta={name: after[name] - job.adapter[name] for name in after},
            fisher=None
            if slot_result.fisher is None
            else self._layout.unflatten(slot_result.fisher),
            losses=slot_result.losses,
            tokens_kept=slot_result.tokens_kept,
            token_recall=slot_result.token_recall,
            scales=None if slot_result.scales is None else self._by_name(slot_result.scales),
            key=key,
        )
        if key:
            copies = 1 if result.fisher is None else 2
            self._cache.put(key, result, copies * slot_result.end.nbytes)
        return result

    def close(self) -> None:
        """End the other processes."""
        self._workers.close()

    def _train_queue(self) -> None:
        jobs, self._queue = self._queue, {}
        starts = _Starts(self._layout)
        slots: dict[int, SlotJob] = {}
        keys: dict[int, str] = {}
        missing = []
        for ticket, job in jobs.items():
            slot = SlotJob(
                starts.flat(job.adapter),
                job.batches,
                self._trainable(job.frozen),
                None if job.correction is None else SlotCorrection.of(job.correction, self._layout),
                seed=job.seed,
            )
            key = keys[ticket] = self._key(slot, starts.digest(job.adapter))
            earlier: TrainingResult | None = self._cache.get(key) if key else None
            if earlier is not None:
                self._ready[ticket] = earlier
                continue
            stored = self._store.get(key) if self._store is not None else None
            if stored is not None:
                self._results[ticket] = job, key, SlotResult.from_bytes(stored)
                continue
            slots[ticket] = slot
            missing.append(ticket)
        self.reused += len(jobs) - len(missing)
        self.trained += len(missing)
        chunks = [missing[at : at + self.width] for at in range(0, len(missing), self.width)]
        cohorts = [[slots[ticket] for ticket in chunk] for chunk in chunks]
        for at, results in self._workers.map(cohorts):
            for ticket, result in zip(chunks[at], results, strict=True):
                self._results[ticket] = jobs[ticket], keys[ticket], result
                if self._store is not None:
                    self._store.put(keys[ticket], result.to_bytes())

    def _by_name(self, scales: FloatArray) -> dict[str, float]:
        names = (spec.name for spec in self._layout.tensors)
        return dict(zip(names, scales.tolist(), strict=True))

    def _trainable(self, frozen: frozenset[str]) -> npt.NDArray[np.bool_] | None:
        if not frozen:
            return None
        ones = [np.full(spec.shape, spec.name not in frozen) for spec in self._layout.tensors]
        return np.concatenate([part.ravel() for part in ones])

    def _key(self, slot: SlotJob, start: str) -> str:
        if self._store is None:
            return ""
        more: dict[str, Any] = {}
        if self._draws:
            more["seed"] = slot.seed
        if slot.trainable is not None:
            more["trainable"] = array_digest(slot.trainable)
        if slot.correction is not None:
            more["correction"] = array_digest(slot.correction.constant)
            more["proximal"] = slot.correction.proximal
        return key_of(**self._origin, start=start, rows=rows_digest(slot.batches), **more)


class _Starts:
    """Adapters that jobs start from, each flattened and digested once for all jobs of a queue."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._flat: dict[int, FloatArray] = {}
        self._digests: dict[int, str] = {}

    def flat(self, adapter: Update) -> FloatArray:
        """As one vector; the jobs hold the adapters, so that none's identity is another's."""
        if id(adapter) not in self._flat:
            self._flat[id(adapter)] = self._layout.flatten(adapter)
        return self._flat[id(adapter)]

    def digest(self, adapter: Update) -> str:
        """Of that vector."""
        if id(adapter) not in self._digests:
            self._digests[id(adapter)] = array_digest(self.flat(adapter))
        return self._digests[id(adapter)]
