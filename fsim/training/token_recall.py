"""Token Recall in training: what of the most sensitive tokens the filter keeps."""

from __future__ import annotations

import numpy as np
import torch

from fsim.data.answer_metrics import token_recall


class TokenRecall:
    """Token Recall of each slot of a cohort, by :func:`fsim.data.answer_metrics.token_recall`.

    The reference run of Fed-FSTQ (arXiv 2604.25421) is one without the filter. Its trajectory would
    be another one; what is compared here is the unfiltered loss of the same rows at the same
    parameters.

    Parameters
    ----------
    slots
        Clients trained side by side.
    top_share
        p, above 0 and up to 1.
    """

    def __init__(self, slots: int, top_share: float) -> None:
        self._top_share = top_share
        self._values: list[list[float]] = [[] for _ in range(slots)]

    def observe(self, masks: torch.Tensor, among: torch.Tensor, scores: torch.Tensor) -> None:
        """Take in one filtered step.

        Parameters
        ----------
        masks, among
            The mask and what it falls on, (rows, places), boolean; rows in slot order.
        scores
            Squared gradient norms of the unfiltered loss at the same places.
        """
        count = len(self._values)
        own = (np.split(each.cpu().numpy(), count) for each in (masks, among, scores))
        for values, mask, places, norms in zip(self._values, *own, strict=True):
            if places.any():
                values.append(token_recall(mask[places], norms[places], self._top_share))

    def mean(self, slot: int) -> float | None:
        """Over the steps seen; None of none."""
        return float(np.mean(self._values[slot])) if self._values[slot] else None
