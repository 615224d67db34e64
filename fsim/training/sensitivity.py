"""Token and parameter sensitivities of Fed-FSTQ (arXiv 2604.25421), from gradients at hand.

One object serves all slots of a cohort; nothing of one slot enters another's figures. The settings
(:class:`fsim.core.types.SensitivitySettings`) say how the choices that the paper leaves open are
made. A token or position not yet measured counts as more sensitive than any measured one: it is
kept.
"""

from __future__ import annotations

import math

import torch

from fsim.core.types import SensitivitySettings
from fsim.data.encoding import Batch


class TokenSensitivity:
    """S of the paper: a moving average of squared gradient norms at the input embeddings.

    Parameters
    ----------
    slots
        Clients trained side by side.
    size
        Vocabulary size, or the longest sequence where sensitivities go by position.
    settings
        See :class:`fsim.core.types.SensitivitySettings`.
    device
        Of the batches.
    """

    def __init__(
        self, slots: int, size: int, settings: SensitivitySettings, device: torch.device
    ) -> None:
        self.settings = settings
        self._slots = slots
        self._size = size
        self._average = torch.full((slots * size,), math.inf, device=device)
        self._ranking = self._average

    def is_full(self, step: int) -> bool:
        """True if a local step (from 0) trains on everything."""
        if self.settings.first == "full" and step < self.settings.refresh_every:
            return True
        return step % self.settings.refresh_every == 0

    def observe(self, batch: Batch, gradient: torch.Tensor, step: int) -> None:
        """Take in one step's gradient with respect to the input embeddings (rows, length, width).

        S <- rho S + (1 - rho) g (steps 1 and 2), g being the mean over the places at which a token
        stands in the batch; the first value of a token is its first g.
        """
        norms = gradient.square().sum(dim=-1)
        read = batch.read
        keys = self._keys(batch)[read]
        totals = torch.zeros_like(self._average).index_add_(0, keys, norms[read])
        counts = torch.zeros_like(self._average).index_add_(0, keys, torch.ones_like(norms[read]))
        fresh = totals / counts.clamp(min=1)
        rho = self.settings.smoothing
        blended = torch.where(self._average.isinf(), fresh, rho * self._average + (1 - rho) * fresh)
        self._average = torch.where(counts > 0, blended, self._average)
        if step % self.settings.refresh_every == 0:
            self._ranking = self._average

    def target_mask(self, batch: Batch) -> torch.Tensor:
        """Z over scored columns (rows, columns): the ``ceil(r T)`` most sensitive of a row's T.

        Ties go to the earlier position.
        """
        scores = self._scores(batch).gather(1, batch.at)
        return _top_share(scores, batch.scored, self.settings.token_ratio)

    def target_weights(self, batch: Batch) -> torch.Tensor:
        """Soft weights over scored columns (rows, columns), of mean 1 in every row."""
        scores = self._scores(batch).gather(1, batch.at)
        measured = batch.scored & scores.isfinite()
        finite_scores = torch.where(measured, scores, 0)
        mean = finite_scores.sum(1, keepdim=True) / measured.sum(1, keepdim=True).clamp(min=1)
        weights = torch.where(measured & (mean > 0), finite_scores / mean.clamp(min=1e-38), 1.0)
        weights = torch.where(batch.scored, weights, 0)
        total = weights.sum(1, keepdim=True).clamp(min=1e-38)
        return weights * batch.scored.sum(1, keepdim=True) / total

    def input_mask(self, batch: Batch) -> torch.Tensor:
        """Z over all positions read (rows, length); scored positions always stay."""
        scored = torch.zeros_like(batch.ids, dtype=torch.bool)
        scored.scatter_(1, batch.at, batch.scored)
        scores = self._scores(batch).masked_fill(scored, math.inf)
        keep = _top_share(scores, batch.read, self.settings.token_ratio)
        return keep | scored

    def _scores(self, batch: Batch) -> torch.Tensor:
        return self._ranking[self._keys(batch)]

    def _keys(self, batch: Batch) -> torch.Tensor:
        """Index in the flat averages of each position of a batch, (rows, length)."""
        rows, length = batch.ids.shape
        slot = torch.arange(rows, device=batch.ids.device) // (rows // self._slots)
        if self.settings.by == "token":
            inner = batch.ids
        else:
            inner = torch.arange(length, device=batch.ids.device).expand(rows, length)
        return slot.unsqueeze(1) * self._size + inner


def _top_share(scores: torch.Tensor, among: torch.Tensor, share: float) -> torch.Tensor:
    ranked = scores.masked_fill(~among, -math.inf).argsort(dim=1, descending=True, stable=True)
    rank = ranked.argsort(dim=1)
    return among & (rank < (share * among.sum(dim=1, keepdim=True)).ceil())


class Fisher:
    """F of the paper: squared gradients of each adapter coordinate, averaged or summed (step 4).

    Parameters
    ----------
    gradients
        The slots' gradients, (slots, coordinates), as backward passes leave them.
    settings
        Smoothing, and average or sum.
    """

    def __init__(self, gradients: torch.Tensor, settings: SensitivitySettings) -> None:
        self._gradients = gradients
        self._settings = settings
        self.values = torch.zeros_like(gradients)

    def observe(self) -> None:
        """Take in the present gradients, before any clipping."""
        fresh = 1.0
        if self._settings.fisher_average == "ema":
            self.values.mul_(self._settings.smoothing)
            fresh = 1 - self._settings.smoothing
        self.values.addcmul_(self._gradients, self._gradients, value=fresh)
