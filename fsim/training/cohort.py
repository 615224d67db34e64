"""Training many clients in one forward and backward pass.

Every client has a slot: its own adapter, rows, optimiser state, gradient clipping and token mask.
The frozen base is shared. A client's result does not depend on who shared its pass: cohorts have a
fixed width and batches a fixed shape, empty places being filled and thrown away. A cohort of one
has nobody to be independent of: its batches are as long as their own longest row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch

from fsim.core.errors import ScenarioError
from fsim.core.types import FloatArray, SensitivitySettings, TrainingRequest
from fsim.data.encoding import Batch, BatchShape, Encoded
from fsim.model.adapter import AdaptedModel
from fsim.model.slots import Slots
from fsim.training.binarisation import Binarisation
from fsim.training.gradient_correction import SlotCorrection, SlotCorrections
from fsim.training.sensitivity import Fisher, TokenSensitivity
from fsim.training.settings import TrainingSettings
from fsim.training.token_recall import TokenRecall

PLAIN = TrainingRequest()


@dataclass(frozen=True)
class SlotJob:
    """Job of one slot.

    Attributes
    ----------
    start
        The flat adapter to start from.
    batches
        The rows of each step.
    trainable
        Which of its coordinates are trained, shape as ``start``; all if None.
    correction
        What is added to each gradient; nothing if None.
    seed
        Of the draws that binarised training makes.
    """

    start: FloatArray
    batches: Sequence[Sequence[Encoded]]
    trainable: npt.NDArray[np.bool_] | None = None
    correction: SlotCorrection | None = None
    seed: int = 0


@dataclass(frozen=True)
class SlotResult:
    """Result of one slot.

    Attributes
    ----------
    end
        The flat adapter after the last step; meaningless if a loss is not finite.
    fisher
        Diagonal Fisher, flat, where sensitivities were asked for.
    losses
        A value a step, over the positions trained on.
    tokens_kept
        Share of the positions that the mask falls on that were kept.
    token_recall
        Mean over the filtered steps; None where it was not asked for, or no step was filtered.
    scales
        The step size of each matrix, in the layout's order, where binarised training learned them.
    """

    end: FloatArray
    fisher: FloatArray | None
    losses: tuple[float, ...]
    tokens_kept: float
    token_recall: float | None = None
    scales: FloatArray | None = None

    def to_bytes(self) -> bytes:
        """Serialised, every bit kept."""
        arrays = {
            "end": self.end,
            "losses": np.array(self.losses),
            "tokens_kept": np.array([self.tokens_kept]),
        }
        if self.fisher is not None:
            arrays["fisher"] = self.fisher
        if self.token_recall is not None:
            arrays["token_recall"] = np.array([self.token_recall])
        if self.scales is not None:
            arrays["scales"] = self.scales
        payload: bytes = safetensors.numpy.save(arrays)
        return payload

    @classmethod
    def from_bytes(cls, payload: bytes) -> SlotResult:
        """The inverse of :meth:`to_bytes`."""
        arrays = safetensors.numpy.load(payload)
        losses = tuple(arrays["losses"].tolist())
        recall = arrays.get("token_recall")
        return cls(
            end=arrays["end"],
            fisher=arrays.get("fisher"),
            losses=losses,
            tokens_kept=float(arrays["tokens_kept"][0]),
            token_recall=None if recall is None else float(recall[0]),
            scales=arrays.get("scales"),
        )


class Cohort:
    """A fixed number of slots on one model.

    Parameters
    ----------
    adapted
        The model.
    width
        Number of slots.
    shape
        Of each slot's batch in every step, where the cohort is wider than one.
    settings
        Of the local training.
    request
        What the compression policy asks for; by default nothing.

    Attributes
    ----------
    merging
        How tokens merge; None where none do.
    width
        Number of slots.
    device
        Where they are.

    Raises
    ------
    ScenarioError
        Tokens are to merge in a model in which they cannot, or in compiled layers.
    """

    def __init__(
        self,
        adapted: AdaptedModel,
        width: int,
        shape: BatchShape,
        settings: TrainingSettings,
        request: TrainingRequest = PLAIN,
    ) -> None:
        self._adapted = adapted
        self.width = width
        self.device = adapted.device
        self._shape = shape
        self._settings = settings
        self._sensitivity = request.sensitivity
        self.merging = None if request.merging is None else adapted.merging(request.merging)
        if self.merging is not None and settings.compile:
            raise ScenarioError(
                "training.compile: found true, allowed is false where training merges tokens"
            )
        self._binarisation = request.binarisation
        self._slots = adapted.slots(width, trainable=True)

    @property
    def held_bytes(self) -> int:
        """Bytes of the base model's tensors and of the slots, which are there between trainings."""
        model, slots = self._adapted.model, self._slots
        tensors = [*model.parameters(), *model.buffers(), slots.values, slots.gradients]
        storages = [each.untyped_storage() for each in tensors if each is not None]
        return sum({each.data_ptr(): each.nbytes() for each in storages}.values())

    def train(self, jobs: Sequence[SlotJob]) -> list[SlotResult]:
        """Train up to ``width`` clients side by side.

        Clients may have different numbers of rows and steps; one that is through waits unchanged.
        """
        if not 0 < len(jobs) <= self.width:
            raise ValueError(f"{len(jobs)} jobs do not fit {self.width} slots")
        if not self._settings.compile:
            return self._train(jobs)
        with self._adapted.compiled(varying=self.width == 1):
            return self._train(jobs)

    def _train(self, jobs: Sequence[SlotJob]) -> list[SlotResult]:
        slots, adapted = self._slots, self._adapted
        gradients = slots.gradients
        if gradients is None:
            raise RuntimeError("the slots of a cohort keep gradients")
        slots.load([job.start for job in jobs])
        adapted.use(slots)
        frozen = self._frozen(jobs)
        corrections = None
        if any(job.correction is not None for job in jobs):
            corrections = SlotCorrections([job.correction for job in jobs], slots)
        steps = [len(job.batches) for job in jobs]
        binarisation = None
        if self._binarisation is not None:
            seeds = [job.seed for job in jobs]
            binarisation = Binarisation(
                slots, adapted.layout, self._binarisation, steps, seeds, frozen
            )
        optimizer = _optimizer(slots, self._settings, binarisation)
        began = None
        if self._settings.proximal or frozen is not None:
            began = slots.values.detach().clone()
        embedding = adapted.model.get_input_embeddings()
        tokens = fisher = recall = None
        if self._sensitivity is not None:
            by_token = self._sensitivity.by == "token"
            size = embedding.num_embeddings if by_token else self._shape.length
            tokens = TokenSensitivity(self.width, size, self._sensitivity, adapted.device)
            fisher = Fisher(gradients, self._sensitivity)
            if self._sensitivity.recall:
                recall = TokenRecall(self.width, self._sensitivity.recall)
        losses = torch.zeros(max(steps), self.width, device=adapted.device)
        kept_tokens = torch.zeros(self.width, device=adapted.device)
        maskable = torch.zeros_like(kept_tokens)
        ends: dict[int, tuple[FloatArray, FloatArray | None, FloatArray | None]] = {}
        for step in range(max(steps)):
            if binarisation is not None:
                binarisation.binarise(step)
            batch = self._batch(jobs, step)
            weights, inputs, masks = self._filter(batch, tokens, step)
            kept_tokens += _per_slot(masks[0].sum(1), self.width)
            maskable += _per_slot(masks[1].sum(1), self.width)
            if inputs is not None:
                embedded = embedding(inputs.ids).detach().requires_grad_()
            else:
                inputs, embedded = batch, None
            counts = self._counts(inputs, weights)
            loss = adapted.loss(inputs, counts, self.width, embedded, self.merging)
            losses[step] = loss.detach()
            sources = () if embedded is None else (embedded,)
            at_embeddings = slots.backward(loss.sum(), *sources)
            if frozen is not None:
                gradients.masked_fill_(frozen, 0)
            if recall is not None and tokens is not None and not tokens.is_full(step):
                recall.observe(*masks, self._whole_scores(batch, tokens.settings))
            if tokens is not None and fisher is not None:
                tokens.observe(inputs, at_embeddings[0], step)
                fisher.observe()
            if binarisation is not None:
                binarisation.straight_through()
            if began is not None and self._settings.proximal:
                gradients.add_(slots.values.detach() - began, alpha=self._settings.proximal)
            if self._settings.max_gradient_norm is not None:
                _clip(gradients, self._settings.max_gradient_norm)
            if corrections is not None:
                corrections.add_to(gradients)
            optimizer.step()
            if began is not None and frozen is not None:
                # Weight decay moves what has no gradient as well.
                slots.values.detach()[frozen] = began[frozen]
            for slot, last in enumerate(steps):
                if step + 1 == last:
                    flat = None if fisher is None else _read(fisher.values[slot], slots.size)
                    scales = None if binarisation is None else binarisation.scales(slot)
                    ends[slot] = slots.read(slot), flat, scales
        by_step = losses.cpu().numpy()
        shares = (kept_tokens / maskable.clamp(min=1)).cpu().numpy()
        results = []
        for slot in range(len(jobs)):
            end, flat, scales = ends[slot]
            results.append(
                SlotResult(
                    end,
                    flat,
                    losses=tuple(by_step[: steps[slot], slot].tolist()),
                    tokens_kept=float(shares[slot]),
                    token_recall=None if recall is None else recall.mean(slot),
                    scales=scales,
                )
            )
        return results

    def _batch(self, jobs: Sequence[SlotJob], step: int) -> Batch:
        """All slots' rows of one step; a slot without work gets rows that nothing is scored at."""
        if self.width == 1:
            return Batch.of(jobs[0].batches[step]).to(self.device)
        parts = []
        for slot in range(self.width):
            through = slot >= len(jobs) or step >= len(jobs[slot].batches)
            parts.append(Batch.of(() if through else jobs[slot].batches[step], self._shape))
        return Batch.stack(parts).to(self.device)

    def _frozen(self, jobs: Sequence[SlotJob]) -> torch.Tensor | None:
        """Mask of coordinates that are not trained, (slots, coordinates); None if all are."""
        if all(job.trainable is None for job in jobs):
            return None
        frozen = torch.zeros_like(self._slots.values, dtype=torch.bool)
        for slot, job in enumerate(jobs):
            if job.trainable is not None:
                frozen[slot, : self._slots.size] = torch.from_numpy(~job.trainable)
        return frozen

    def _filter(
        self, batch: Batch, tokens: TokenSensitivity | None, step: int
    ) -> tuple[torch.Tensor, Batch | None, tuple[torch.Tensor, torch.Tensor]]:
        """Loss weights of the scored columns; the batch to embed; what was kept, and of what.

        The batch is None where embeddings need no gradient.
        """
        plain = batch.scored.float()
        if tokens is None:
            return plain, None, (batch.scored, batch.scored)
        settings = tokens.settings
        if settings.mask == "inputs":
            if tokens.is_full(step):
                return plain, batch, (batch.read, batch.read)
            keep = tokens.input_mask(batch)
            return plain, batch.shortened(keep), (keep, batch.read)
        if tokens.is_full(step):
            return plain, batch, (batch.scored, batch.scored)
        if settings.weights == "soft":
            return tokens.target_weights(batch), batch, (batch.scored, batch.scored)
        mask = tokens.target_mask(batch)
        return mask.float(), batch, (mask, batch.scored)

    def _whole_scores(self, batch: Batch, settings: SensitivitySettings) -> torch.Tensor:
        """Squared gradient norms of the unfiltered loss, where the mask falls."""
        embedded = self._adapted.model.get_input_embeddings()(batch.ids).detach().requires_grad_()
        counts = self._counts(batch, batch.scored.float())
        loss = self._adapted.loss(batch, counts, self.width, embedded, self.merging)
        (gradient,) = torch.autograd.grad([loss.sum()], [embedded])
        norms = gradient.square().sum(dim=-1)
        return norms.gather(1, batch.at) if settings.mask == "targets" else norms

    def _counts(self, batch: Batch, weights: torch.Tensor) -> torch.Tensor:
        """Weight of each scored column in its slot's own loss, (rows, columns)."""
        if self._sensitivity is not None and self._sensitivity.reduction == "sum":
            used = batch.scored.any(1).float()
        else:
            used = weights.sum(1)
        share = 1 / _per_slot(used, self.width).clamp(min=1e-38)
        return weights * share.repeat_interleave(len(weights) // self.width).unsqueeze(1)


def _per_slot(rows: torch.Tensor, width: int) -> torch.Tensor:
    """Sums over each slot's rows, (slots,)."""
    return rows.view(width, -1).sum(1)


def _clip(gradients: torch.Tensor, limit: float) -> None:
    """Scale each slot's gradient to a norm of at most ``limit``, as torch's clip_grad_norm_."""
    norms = gradients.norm(dim=1, keepdim=True)
    gradients.mul_((limit / (norms + 1e-6)).clamp(max=1.0))


def _optimizer(
    slots: Slots, settings: TrainingSettings, binarisation: Binarisation | None
) -> torch.optim.Optimizer:
    """One optimiser over the matrix of all slots: every rule here is coordinate by coordinate."""
    values = slots.values.detach().requires_grad_()
    values.grad = slots.gradients
    groups: list[dict[str, Any]] = [{"params": [values]}]
    if binarisation is not None:
        groups.append({"params": [binarisation.exponents], "weight_decay": 0.0})
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, weight_decay=decay)
    return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True)


def _read(row: torch.Tensor, size: int) -> FloatArray:
    flat: FloatArray = np.ascontiguousarray(row[:size].cpu().numpy()).copy()
    return flat
