"""Clients that are available when a recording says so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import copy

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.core.errors import TraceError
from fsim.fleet.availability.base import FURTHEST, SHORTEST, Intermittent, Window, joined

ROUNDING = 1e-6
"""Seconds: a gap or an overlap no longer than this is that of touching intervals, rounded."""

Times = Sequence[float] | npt.NDArray[np.float64]


class Traced(Intermittent):
    """Available in the intervals of a recording, which begins again when it ends.

    Parameters
    ----------
    starts, ends
        Seconds at which the intervals begin and end, shape (intervals,): in order, each 1 ms long
        or longer, and either touching the one before or 1 ms or more after it.
    period
        Seconds after which the recording begins again, not before the last end.
    offset
        Seconds into the recording at which time 0 of the simulation lies.

    Raises
    ------
    TraceError
        The intervals are not as described, or there is none: such a client would be waited for
        without end.
    """

    __slots__ = ("_ends", "_offset", "_period", "_starts")

    def __init__(self, starts: Times, ends: Times, period: float, offset: float = 0.0) -> None:
        super().__init__()
        self._starts = np.asarray(starts, dtype=np.float64)
        self._ends = np.asarray(ends, dtype=np.float64)
        self._period = float(period)
        self._offset = float(offset)
        self._check()

    def with_offset(self, offset: float) -> Traced:
        """The same recording, entered ``offset`` seconds after its beginning."""
        _check_offset(offset)
        # Not through the constructor: a million clients share the arrays that were checked once.
        other = copy(self)
        Intermittent.__init__(other)
        other._offset = float(offset)
        return other

    @property
    def period(self) -> float:
        """Seconds after which the recording begins again."""
        return self._period

    @property
    def share(self) -> float:
        """Of the time, available."""
        return float((self._ends - self._starts).sum() / self._period)

    def _check(self) -> None:
        starts, ends = self._starts, self._ends
        if starts.ndim != 1 or starts.shape != ends.shape or len(starts) == 0:
            raise TraceError(
                f"an availability needs as many ends as starts, at least one, found {len(starts)} "
                f"starts and {len(ends)} ends"
            )
        if not 0 < self._period <= FURTHEST:
            raise TraceError(
                f"found a period of {self._period:g} s, allowed is more than 0 to {FURTHEST:g} s"
            )
        _check_offset(self._offset)
        # Written so that a NaN is wrong as well.
        wrong = ~(ends - starts >= SHORTEST) | ~((starts >= 0) & (ends <= self._period))
        if np.any(wrong):
            at = int(np.argmax(wrong))
            raise TraceError(
                f"interval {at + 1}: found {starts[at]:g} to {ends[at]:g} s, allowed is an end "
                f"{SHORTEST:g} s or more after its start, both within 0 to {self._period:g} s"
            )
        gaps = self._gaps()
        wrong = (gaps < SHORTEST) & (np.abs(gaps) > ROUNDING)
        if np.any(wrong):
            at = int(np.argmax(wrong))
            raise TraceError(
                f"interval {at + 1}: found an end at {ends[at]:g} s, {gaps[at]:g} s before the "
                f"next interval, allowed is 0 or {SHORTEST:g} s and more"
            )

    def _gaps(self) -> npt.NDArray[np.float64]:
        """Seconds from each interval to the next, from the last one into the next pass."""
        return np.append(self._starts[1:], self._period + self._starts[0]) - self._ends

    @property
    @override
    def longest_window(self) -> float:
        apart = np.flatnonzero(self._gaps() >= SHORTEST)
        if not len(apart):
            return math.inf
        # From the first interval after a gap to the last one before the next, into the next pass.
        first = np.append(apart[:-1] + 1, (apart[-1] + 1) % len(self._starts))
        last = np.append(apart[1:], apart[0])
        lengths = self._ends[last] - self._starts[first]
        return float(np.where(lengths > 0, lengths, lengths + self._period).max())

    def _windows(self, start: float) -> Iterator[Window]:
        if np.all(self._gaps() < SHORTEST):
            return iter([Window(start, math.inf)])
        return joined(self._from(start), start, SHORTEST / 2)

    def _from(self, start: float) -> Iterator[Window]:
        """The intervals from ``start`` on, pass after pass, and the one before them.

        By rounding that one may be what ``start`` lies in.
        """
        passes, within = divmod(start + self._offset, self._period)
        first = int(np.searchsorted(self._ends, within, side="right")) - 1
        if first < 0:
            passes, first = passes - 1, len(self._starts) - 1
        while True:
            begins = passes * self._period - self._offset
            for at in range(first, len(self._starts)):
                yield Window(begins + float(self._starts[at]), begins + float(self._ends[at]))
            passes, first = passes + 1, 0


def _check_offset(offset: float) -> None:
    if not 0 <= offset <= FURTHEST:
        raise TraceError(f"found an offset of {offset:g} s, allowed is 0 to {FURTHEST:g} s")
