"""Saliency of a token together with its neighbours'.

What an answer needs is rarely one token: a passage has to stay as a whole to be understood, while
scores single out a few of its tokens. Mean saliencies over a window keep neighbourhoods together,
as SnapKV does with attention (Li et al., NeurIPS 2024), there by maxima.
"""

from __future__ import annotations

from typing import Any

import torch

from fsim.core.errors import InferenceError
from fsim.inference.pruning import Scorer, View


def check_window(window: int) -> None:
    """Raise InferenceError where a window has no token in its middle."""
    if window < 1 or window % 2 == 0:
        raise InferenceError(f"window: found {window} tokens, allowed is an odd number from 1")


def pooled(values: torch.Tensor, read: torch.Tensor, window: int) -> torch.Tensor:
    """Means over the tokens of a prompt within a window around each of them.

    Parameters
    ----------
    values
        Of each token, (rows, length).
    read
        Where a token is, padding left out, (rows, length), boolean; elsewhere the result is 0.
    window
        Tokens that it spans, an odd number; cut off where the prompt ends.

    Returns
    -------
    torch.Tensor
        (rows, length), float32.
    """
    there = read.float()
    pairs = torch.stack([values.float() * there, there], dim=1)
    sums, counts = torch.nn.functional.avg_pool1d(pairs, window, 1, window // 2).unbind(dim=1)
    return torch.where(read, sums / counts.clamp(min=1e-30), 0.0)


class Pooled:
    """Another scorer's saliencies, each the mean over its neighbourhood.

    Parameters
    ----------
    scorer
        Of single tokens.
    window
        Tokens that a mean is taken over, an odd number; 1 changes no order.

    Raises
    ------
    InferenceError
        A window without a middle.
    """

    def __init__(self, scorer: Scorer, window: int) -> None:
        check_window(window)
        self.scorer, self.window = scorer, window

    def watching(self, layer: torch.nn.Module) -> Any:
        """The other scorer's."""
        return self.scorer.watching(layer)

    def score(self, view: View) -> torch.Tensor:
        """Logarithms of means of exp(score), as shares of the prompt's."""
        scores = self.scorer.score(view).float().masked_fill(~view.read, -torch.inf)
        return pooled(scores.softmax(dim=1), view.read, self.window).clamp(min=1e-30).log()
