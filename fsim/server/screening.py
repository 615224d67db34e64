"""Screening of updates: those that would spoil the average stay out of it.

A server sees the decoded update alone, so only that is judged: whether its numbers are
numbers, and whether it is absurdly long. Clipping to a norm is that of McMahan et al., "Learning
Differentially Private Recurrent Language Models", ICLR 2018, without the noise.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import ClassVar, Literal

import numpy as np
from pydantic import ConfigDict

from fsim.core.types import Update


@dataclass(frozen=True)
class Rejection:
    """The reason why an update is not aggregated.

    Attributes
    ----------
    kind
        For counting.
    reason
        One line with the numbers, for the record.
    """

    kind: Literal["not-finite", "norm"]
    reason: str


def norm(update: Update) -> float:
    """The Euclidean norm over all coordinates, summed in float64; NaN or infinite if one is."""
    # The square of the largest float32 is 1e77: no sum of such squares leaves float64.
    squares = [np.square(array, dtype=np.float64).sum() for array in update.values()]
    return math.sqrt(float(np.sum(squares)))


def clip(update: Update, limit: float) -> Update:
    """The update, made shorter so that its norm is ``limit`` if it was more.

    Raises
    ------
    ValueError
        A limit that is not positive, or an update that is not finite.
    """
    if not limit > 0:
        raise ValueError(f"limit: found {limit}, allowed is more than 0")
    length = norm(update)
    if not math.isfinite(length):
        raise ValueError("cannot clip an update that is not finite")
    if length <= limit:
        return update
    return {name: (array * (limit / length)).astype(np.float32) for name, array in update.items()}


@dataclass
class Screen:
    """Decides which updates are aggregated, and at what length.

    A NaN or an infinity is always rejected. The bounds are off where they are None.

    Attributes
    ----------
    most_norm
        The largest norm allowed.
    most_ratio
        The largest norm allowed as a multiple of the median norm of recent accepted updates. It
        holds once half of the window is known and while that median is not zero.
    window
        How many accepted updates are recent, 2 to 10,000.
    clip_norm
        Accepted updates are scaled down to this norm.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    most_norm: float | None = None
    most_ratio: float | None = None
    window: int = 20
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        for name in ("most_norm", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}: found {value}, allowed is more than 0")
        if self.most_ratio is not None and not 1 <= self.most_ratio < math.inf:
            raise ValueError(f"most_ratio: found {self.most_ratio}, allowed is 1 or more")
        if not 2 <= self.window <= 10_000:
            raise ValueError(f"window: found {self.window}, allowed are 2 to 10000")
        self._norms: deque[float] = deque(maxlen=self.window)

    def check(self, update: Update) -> Rejection | None:
        """The reason why the update is rejected, None if it is not. Changes nothing."""
        length = norm(update)
        if not math.isfinite(length):
            bad = sum(int(np.count_nonzero(~np.isfinite(array))) for array in update.values())
            size = sum(array.size for array in update.values())
            return Rejection("not-finite", f"{bad} of {size} coordinates are NaN or infinite")
        if self.most_norm is not None and length > self.most_norm:
            return Rejection("norm", f"norm {length:.4g}, allowed is {self.most_norm:.4g}")
        usual = self.usual_norm()
        if self.most_ratio is not None and usual and length > self.most_ratio * usual:
            return Rejection(
                "norm",
                f"norm {length:.4g}, allowed is {self.most_ratio:g} times the median of recent "
                f"updates, {usual:.4g}",
            )
        return None

    def accept(self, update: Update) -> Update:
        """Remember the norm of an update that passed; the update, clipped where that is asked."""
        self._norms.append(norm(update))
        return update if self.clip_norm is None else clip(update, self.clip_norm)

    def usual_norm(self) -> float | None:
        """The median norm of recent accepted updates before clipping; None of too few."""
        return median(self._norms) if 2 * len(self._norms) >= self.window else None
