"""Token and parameter sensitivities of Fed-FSTQ (arXiv 2604.25421), from gradients at hand.

Choices that the paper leaves open, as made here: a token's sensitivity is kept by its vocabulary id
(sequences of different content share no positions); it ranks the positions that the loss is scored
at; a token not yet measured is kept; a client begins every round with a refresh step.
"""

from __future__ import annotations

import math

import torch

from fsim.learning.encoding import NOT_SCORED, Batch
from fsim.vocabulary import SensitivitySettings


class TokenSensitivity:
    """S of the paper: a moving average of squared gradient norms at the input embeddings.

    Parameters
    ----------
    vocabulary
        Number of token ids.
    settings
        Ratio, refresh interval and smoothing.
    """

    def __init__(self, vocabulary: int, settings: SensitivitySettings) -> None:
        self.settings = settings
        self._average = torch.full((vocabulary,), math.inf)
        self._ranking = self._average

    def is_refresh(self, step: int) -> bool:
        """Whether a local step (from 0) trains on the full loss."""
        return step % self.settings.refresh_every == 0

    def observe(self, batch: Batch, gradient: torch.Tensor, step: int) -> None:
        """Take in one step's gradient with respect to the input embeddings (rows, length, width).

        S <- rho S + (1 - rho) g (steps 1 and 2); a token's first value is its first g.
        """
        columns = batch.targets.shape[1]
        seen = batch.targets != NOT_SCORED
        ids = batch.scored_ids[seen]
        norms = gradient[:, -columns:].square().sum(dim=-1)[seen]
        totals = torch.zeros_like(self._average).index_add_(0, ids, norms)
        counts = torch.zeros_like(self._average).index_add_(0, ids, torch.ones_like(norms))
        fresh = totals / counts.clamp(min=1)
        rho = self.settings.smoothing
        blended = torch.where(self._average.isinf(), fresh, rho * self._average + (1 - rho) * fresh)
        self._average = torch.where(counts > 0, blended, self._average)
        if self.is_refresh(step):
            self._ranking = self._average

    def mask(self, batch: Batch) -> torch.Tensor:
        """Z of the paper: which scored columns keep their loss, (rows, scored columns), boolean.

        In each row the ``ceil(token_ratio x T)`` most sensitive of its T scored positions; ties
        go to the earlier position.
        """
        scored = batch.targets != NOT_SCORED
        scores = self._ranking[batch.scored_ids].masked_fill(~scored, -math.inf)
        order = scores.argsort(dim=1, descending=True, stable=True)
        rank = order.argsort(dim=1)
        keep = (self.settings.token_ratio * scored.sum(dim=1, keepdim=True)).ceil()
        return scored & (rank < keep)


class Fisher:
    """F of the paper: a moving average of squared gradients of each adapter coordinate (step 4)."""

    def __init__(self, parameters: dict[str, torch.nn.Parameter], smoothing: float) -> None:
        self._parameters = parameters
        self._smoothing = smoothing
        self._average = {name: torch.zeros_like(p) for name, p in parameters.items()}

    def observe(self) -> None:
        """Take in the gradients that the last backward pass left, before any clipping."""
        for name, parameter in self._parameters.items():
            if parameter.grad is None:
                raise ValueError(f"no gradient at {name}: observe() comes after backward()")
            average = self._average[name]
            average.mul_(self._smoothing)
            average.addcmul_(parameter.grad, parameter.grad, value=1 - self._smoothing)

    def read(self) -> dict[str, torch.Tensor]:
        """The diagonal Fisher by parameter name."""
        return self._average
