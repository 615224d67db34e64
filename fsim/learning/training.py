"""Local LoRA training of clients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fsim.errors import TrainingDiverged
from fsim.learning.adapter import AdaptedModel
from fsim.learning.cost import TrainingCost
from fsim.learning.encoding import NOT_SCORED, Batch, Encoded
from fsim.learning.sensitivity import Fisher, TokenSensitivity
from fsim.vocabulary import SensitivitySettings, Update


@dataclass(frozen=True)
class TrainingSettings:
    """How a client trains.

    Attributes
    ----------
    optimizer
        ``"adamw"`` or ``"sgd"``; its state begins anew in every round.
    learning_rate, weight_decay
        Of the optimiser.
    max_gradient_norm
        Clips the gradient of the whole adapter; None leaves it.
    """

    optimizer: str
    learning_rate: float
    weight_decay: float
    max_gradient_norm: float | None


@dataclass(frozen=True)
class TrainingJob:
    """One client's local training in one round.

    Attributes
    ----------
    adapter
        The global adapter that it starts from.
    batches
        The rows of each local step.
    """

    client: int
    round_number: int
    adapter: Update
    batches: Sequence[Sequence[Encoded]]


@dataclass(frozen=True)
class TrainingResult:
    """What local training gives.

    Attributes
    ----------
    delta
        The adapter after training minus the one before.
    fisher
        Diagonal Fisher of its coordinates, where sensitivities were asked for.
    losses
        Mean loss over the positions trained on, a value a step.
    tokens_kept
        Share of the scored positions that were trained on.
    """

    delta: Update
    fisher: Update | None
    losses: tuple[float, ...]
    tokens_kept: float


class Trainer:
    """Trains clients when their results are needed.

    A job is queued when its client starts to compute. When the first queued result is asked for,
    all queued jobs are trained: the event loop decides when, the trainer how many at once.

    Parameters
    ----------
    adapted
        The model; its adapter's values are overwritten by every job.
    settings
        Of the local training.
    sensitivity
        What to measure for the compression policy; None to train plainly.
    """

    def __init__(
        self,
        adapted: AdaptedModel,
        settings: TrainingSettings,
        sensitivity: SensitivitySettings | None,
    ) -> None:
        self._adapted = adapted
        self._settings = settings
        self._sensitivity = sensitivity
        self._cost = TrainingCost(adapted)
        self._queue: dict[int, TrainingJob] = {}
        self._results: dict[int, TrainingResult | TrainingDiverged] = {}
        self._tickets = 0

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
            The client's loss became NaN or infinite.
        """
        if ticket not in self._results:
            for queued, job in self._queue.items():
                try:
                    self._results[queued] = self._train(job)
                except TrainingDiverged as error:
                    self._results[queued] = error
            self._queue.clear()
        result = self._results.pop(ticket)
        if isinstance(result, TrainingDiverged):
            raise result
        return result

    def _train(self, job: TrainingJob) -> TrainingResult:
        adapted, settings = self._adapted, self._sensitivity
        adapted.write(job.adapter)
        parameters = list(adapted.parameters.values())
        optimizer = self._optimizer(parameters)
        embedding = adapted.model.get_input_embeddings()
        tokens = fisher = None
        if settings is not None:
            tokens = TokenSensitivity(embedding.num_embeddings, settings)
            fisher = Fisher(adapted.parameters, settings.smoothing)
        losses = []
        kept = scored = 0
        for step, rows in enumerate(job.batches):
            batch = Batch.of(rows)
            keep = batch.targets != NOT_SCORED
            scored += int(keep.sum())
            inputs = None
            if tokens is not None:
                inputs = embedding(batch.ids).detach().requires_grad_()
                if not tokens.is_refresh(step):
                    keep = tokens.mask(batch)
            kept += int(keep.sum())
            loss = torch.nn.functional.cross_entropy(
                adapted.logits(batch, inputs)[keep], batch.targets[keep]
            )
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise TrainingDiverged(
                    f"client {job.client}, round {job.round_number}: the training loss became "
                    f"{losses[-1]} at local step {step + 1}"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if tokens is not None and fisher is not None and inputs is not None:
                if inputs.grad is None:
                    raise RuntimeError("the backward pass left no gradient at the embeddings")
                tokens.observe(batch, inputs.grad, step)
                fisher.observe()
            if self._settings.max_gradient_norm is not None:
                torch.nn.utils.clip_grad_norm_(parameters, self._settings.max_gradient_norm)
            optimizer.step()
        after = adapted.read()
        if not all(np.isfinite(array).all() for array in after.values()):
            raise TrainingDiverged(
                f"client {job.client}, round {job.round_number}: the adapter is no longer finite "
                "after the last local step"
            )
        return TrainingResult(
            delta={name: after[name] - job.adapter[name] for name in after},
            fisher=None if fisher is None else {n: f.numpy() for n, f in fisher.read().items()},
            losses=tuple(losses),
            tokens_kept=kept / scored,
        )

    def _optimizer(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        settings = self._settings
        if settings.optimizer == "sgd":
            return torch.optim.SGD(
                parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
            )
        return torch.optim.AdamW(
            parameters,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            foreach=True,
        )
