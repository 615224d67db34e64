"""A link's capacity over time, as a staircase, and the time that a transfer over it takes.

Think of a tap whose flow is changed at known moments. The water delivered by a time is the area
under the flow; the time at which a bucket is full is found by reading that curve backwards. Both
are closed forms: no transfer is ever stepped through second by second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from fsim.errors import TraceError, TransferNeverEnds

PastEnd = Literal["loop", "hold", "error"]


class Capacity:
    """Piecewise-constant capacity of a link.

    Parameters
    ----------
    starts
        Seconds at which each piece begins; the first is 0, each later than the one before.
    rates
        Bytes/s of each piece, zero for an outage.
    duration
        Seconds at which the last piece ends; ``inf`` makes it last for ever.
    past_end
        What holds after ``duration``: ``"loop"`` begins again, ``"hold"`` keeps the last rate,
        ``"error"`` refuses to say.
    offset
        Seconds into the staircase at which time 0 of the simulation lies.

    Raises
    ------
    TraceError
        The pieces are not a staircase as described.
    """

    def __init__(
        self,
        starts: Sequence[float] | npt.NDArray[np.float64],
        rates: Sequence[float] | npt.NDArray[np.float64],
        duration: float = math.inf,
        past_end: PastEnd = "loop",
        offset: float = 0.0,
    ) -> None:
        self.starts = np.asarray(starts, dtype=np.float64)
        self.rates = np.asarray(rates, dtype=np.float64)
        self.duration = float(duration)
        self.past_end = past_end
        self.offset = float(offset)
        self._check()
        pieces = np.diff(self.starts) * self.rates[:-1]
        self._delivered = np.concatenate(([0.0], np.cumsum(pieces)))
        self._total = math.inf
        if math.isfinite(self.duration):
            last = (self.duration - self.starts[-1]) * self.rates[-1]
            self._total = float(self._delivered[-1] + last)

    @classmethod
    def constant(cls, rate: float) -> Capacity:
        """The same rate (bytes/s) for ever."""
        return cls([0.0], [rate])

    def _check(self) -> None:
        starts, rates = self.starts, self.rates
        if starts.ndim != 1 or starts.shape != rates.shape or len(starts) == 0:
            raise TraceError(
                f"a capacity needs as many start times as rates, found {starts.shape} "
                f"and {rates.shape}"
            )
        if starts[0] != 0 or not np.all(np.diff(starts) > 0) or not np.all(np.isfinite(starts)):
            raise TraceError("a capacity's start times must begin at 0 s and increase")
        if not np.all(np.isfinite(rates)) or np.any(rates < 0):
            worst = rates[~np.isfinite(rates) | (rates < 0)][0]
            raise TraceError(f"found a rate of {worst:g} bytes/s, allowed is 0 or more, finite")
        if not self.duration > starts[-1]:
            raise TraceError(
                f"the last piece begins at {starts[-1]:g} s, "
                f"the capacity must last longer than that, found {self.duration:g} s"
            )
        if self.past_end not in ("loop", "hold", "error"):
            raise TraceError(f"found past_end {self.past_end!r}, allowed are loop, hold, error")
        if not 0 <= self.offset < math.inf:
            raise TraceError(f"found an offset of {self.offset:g} s, allowed is 0 s or more")

    @property
    def mean(self) -> float:
        """Mean rate over the staircase, in bytes/s (the last rate, if that lasts for ever)."""
        if math.isinf(self.duration):
            return float(self.rates[-1])
        return self._total / self.duration

    def scaled_to(self, mean: float) -> Capacity:
        """The same shape with another mean rate (bytes/s).

        Raises
        ------
        TraceError
            The mean rate is zero, so that no factor reaches another.
        """
        if self.mean == 0:
            raise TraceError("a capacity that is zero throughout cannot be scaled to a mean")
        rates = self.rates * (mean / self.mean)
        return Capacity(self.starts, rates, self.duration, self.past_end, self.offset)

    def with_offset(self, offset: float) -> Capacity:
        """The same staircase, entered ``offset`` seconds after its beginning."""
        return Capacity(self.starts, self.rates, self.duration, self.past_end, offset)

    def rate_at(self, time: float) -> float:
        """Bytes/s at a time (seconds); at a step, the new rate."""
        within = time + self.offset
        if within >= self.duration:
            if self.past_end == "hold":
                return float(self.rates[-1])
            self._refuse_past_end(within)
            within = math.fmod(within, self.duration)
        return float(self.rates[np.searchsorted(self.starts, within, side="right") - 1])

    def bytes_between(self, begin: float, end: float) -> float:
        """Bytes that the link delivers from one time to another (seconds)."""
        return self._area(end + self.offset) - self._area(begin + self.offset)

    def finish_time(self, start: float, size: float) -> float:
        """When a transfer that begins at ``start`` has delivered ``size`` bytes.

        The inverse of the cumulative integral of capacity, at (integral at start + size).

        Parameters
        ----------
        start
            Seconds.
        size
            Bytes, not negative.

        Returns
        -------
        float
            Seconds, the earliest such time.

        Raises
        ------
        TransferNeverEnds
            The capacity stays at zero from some time on.
        TraceError
            The staircase ends first and ``past_end`` is ``"error"``.
        """
        if size < 0 or not math.isfinite(size):
            raise ValueError(f"cannot transfer {size} bytes")
        if size == 0:
            return start
        target = self._area(start + self.offset) + size
        cycles = 0.0
        if self._total < target:
            if self.past_end == "hold":
                if self.rates[-1] == 0:
                    raise self._never(start, size)
                missing = target - self._total
                return float(self.duration + missing / self.rates[-1]) - self.offset
            self._refuse_past_end(math.inf)
            if self._total == 0:
                raise self._never(start, size)
            cycles = math.floor(target / self._total)
            target -= cycles * self._total
            if target <= 0:  # exactly at the end of a cycle: the earliest time lies within it
                cycles -= 1
                target += self._total
        elif math.isinf(self.duration) and self.rates[-1] == 0 and target > self._delivered[-1]:
            raise self._never(start, size)
        period = cycles * self.duration if cycles else 0.0
        # Rounding in a looped integral must never let a transfer end before it began.
        return max(start, period + self._invert(target) - self.offset)

    def _invert(self, area: float) -> float:
        """The earliest time within one pass at which the integral reaches ``area`` > 0."""
        piece = int(np.searchsorted(self._delivered, area, side="left")) - 1
        return float(self.starts[piece] + (area - self._delivered[piece]) / self.rates[piece])

    def _area(self, time: float) -> float:
        """Integral of capacity from the beginning of the staircase, bytes."""
        cycles = 0.0
        if time >= self.duration:
            if self.past_end == "hold":
                return self._total + (time - self.duration) * float(self.rates[-1])
            if time > self.duration:
                self._refuse_past_end(time)
            cycles, time = divmod(time, self.duration)
        piece = int(np.searchsorted(self.starts, time, side="right")) - 1
        within = self._delivered[piece] + (time - self.starts[piece]) * self.rates[piece]
        return float(within) + (cycles * self._total if cycles else 0.0)

    def _refuse_past_end(self, time: float) -> None:
        if self.past_end == "error":
            reached = "its end" if math.isinf(time) else f"{time - self.offset:g} s"
            raise TraceError(
                f"the capacity is known for {self.duration - self.offset:g} s and a transfer "
                f"reached {reached}; past_end: loop or hold would say what comes after"
            )

    def _never(self, start: float, size: float) -> TransferNeverEnds:
        return TransferNeverEnds(
            f"{size:.0f} bytes sent at {start:g} s never arrive: the capacity stays at zero"
        )
