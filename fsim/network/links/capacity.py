"""A link's capacity over time, as a staircase, and the time that a transfer over it takes.

Think of a tap whose flow is changed at known moments. The water delivered by a time is the area
under the flow; the time at which a bucket is full is found by reading that curve backwards. Both
are closed forms: no transfer is ever stepped through second by second.

:class:`~fsim.network.links.staircase.Staircase` holds the pieces and the areas under them, once,
however many links follow it; :class:`Capacity` is one link,
:class:`fsim.network.vectorised.CapacityBank` many of them.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fsim.core.errors import TraceError, TransferNeverEnds
from fsim.network.links.staircase import PastEnd, Staircase

_INF = math.inf

FACTORS = (1e-30, 1e30)
"""Smallest and largest factor that rates are scaled by, 0 apart; others would leave the range of
floating-point numbers within a few operations."""


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

    Attributes
    ----------
    staircase
        The pieces, shared with whatever was made from this capacity.
    scale
        What the rates of the staircase are multiplied by.

    Raises
    ------
    TraceError
        The pieces are not a staircase as described.
    """

    __slots__ = ("offset", "scale", "staircase")

    def __init__(
        self,
        starts: Sequence[float] | npt.NDArray[np.float64],
        rates: Sequence[float] | npt.NDArray[np.float64],
        duration: float = math.inf,
        past_end: PastEnd = "loop",
        offset: float = 0.0,
    ) -> None:
        self._set(Staircase(starts, rates, duration, past_end), 1.0, offset)

    @classmethod
    def constant(cls, rate: float) -> Capacity:
        """The same rate (bytes/s) for ever."""
        return cls.over(Staircase.constant(rate))

    @classmethod
    def over(cls, staircase: Staircase, scale: float = 1.0, offset: float = 0.0) -> Capacity:
        """A staircase that exists, its rates multiplied by ``scale``, entered at ``offset``.

        Raises
        ------
        TraceError
            The scale or the offset is not allowed.
        """
        capacity = cls.__new__(cls)
        capacity._set(staircase, scale, offset)
        return capacity

    def _set(self, staircase: Staircase, scale: float, offset: float) -> None:
        self.staircase = staircase
        self.scale = float(scale)
        self.offset = float(offset)
        if not 0 <= self.offset < math.inf:
            raise TraceError(f"found an offset of {self.offset:g} s, allowed is 0 s or more")
        if not FACTORS[0] <= self.scale <= FACTORS[1]:
            raise TraceError(
                f"found a factor of {self.scale:g} on a capacity, allowed are "
                f"{FACTORS[0]:g} to {FACTORS[1]:g}"
            )

    @property
    def starts(self) -> npt.NDArray[np.float64]:
        """Seconds at which each piece begins, shape (pieces,)."""
        return self.staircase.starts

    @property
    def rates(self) -> npt.NDArray[np.float64]:
        """Bytes/s of each piece, shape (pieces,)."""
        return self.staircase.rates * self.scale

    @property
    def duration(self) -> float:
        """Seconds at which the last piece ends."""
        return self.staircase.duration

    @property
    def past_end(self) -> PastEnd:
        """Rule for the time after the duration."""
        return self.staircase.past_end

    @property
    def mean(self) -> float:
        """Mean rate over the staircase, in bytes/s (the last rate, if that lasts for ever)."""
        return self.staircase.mean * self.scale

    @property
    def changes(self) -> bool:
        """True if it is not the same at all times."""
        return len(self.staircase.rates) > 1

    @property
    def dies_at(self) -> float:
        """Seconds from which on nothing passes any more, 0 at the least; ``inf`` for never."""
        steps = self.staircase
        passing = np.flatnonzero(steps.rates)
        if not len(passing):
            return 0.0
        if math.isfinite(steps.period) or passing[-1] == len(steps.rates) - 1:
            return math.inf
        return max(0.0, float(steps.starts[passing[-1] + 1]) - self.offset)

    def scaled(self, factor: float) -> Capacity:
        """All rates multiplied by a factor, 0 included.

        Raises
        ------
        TraceError
            The factor is negative, not finite, or out of all proportion.
        """
        if factor == 0:
            still = np.zeros_like(self.staircase.rates)
            return Capacity(self.starts, still, self.duration, self.past_end, self.offset)
        return Capacity.over(self.staircase, self.scale * factor, self.offset)

    def scaled_to(self, mean: float) -> Capacity:
        """The same shape with another mean rate (bytes/s).

        Raises
        ------
        TraceError
            The mean rate is zero, so that no factor reaches another.
        """
        if self.mean == 0:
            raise TraceError("a capacity that is zero throughout cannot be scaled to a mean")
        return self.scaled(mean / self.mean)

    def with_offset(self, offset: float) -> Capacity:
        """The same staircase, entered ``offset`` seconds after its beginning."""
        return Capacity.over(self.staircase, self.scale, offset)

    def rate_at(self, time: float) -> float:
        """Bytes/s at a time (seconds); at a step, the new rate."""
        steps = self.staircase
        starts, _, rates, _, period, _ = steps.table
        within = time + self.offset
        if not 0 <= within < math.inf:
            raise ValueError(f"no capacity is known at {time} s")
        if within >= period:
            if steps.refuses:
                raise steps.beyond(within, self.offset)
            within = math.fmod(within, period)
        return rates[bisect_right(starts, within) - 1] * self.scale

    def next_above(self, time: float, rate: float) -> float:
        """The first time (seconds) after another at which a piece of more than a rate begins.

        ``inf`` if there is none.
        """
        steps = self.staircase
        least = rate / self.scale
        if steps.highest <= least:
            return math.inf
        passed, within = self._passed(time)
        above = np.flatnonzero(steps.rates > least)
        starts = steps.starts[above]
        later = int(np.searchsorted(starts, within, side="right"))
        if later < len(starts):
            return passed + float(starts[later]) - self.offset
        if math.isinf(steps.period) or steps.refuses:
            return math.inf
        return passed + steps.period + float(starts[0]) - self.offset

    def next_return(self, time: float, seconds: float, since: float = 0.0) -> float:
        """The first time (seconds) after another at which an outage of more than ``seconds`` ends.

        Seconds of it before ``since`` do not count. ``inf`` if there is none.
        """
        steps = self.staircase
        if steps.longest_outage <= seconds:
            return math.inf
        passed, within = self._passed(time)
        here = since + self.offset - passed
        for begin, end in steps.outages:
            if end > within and end - max(begin, here) > seconds:
                return passed + end - self.offset
        if math.isinf(steps.period) or steps.refuses:
            return math.inf
        # One that is cut by `since` may be the only one of the next pass, and whole in that after.
        for later in (steps.period, 2 * steps.period):
            for begin, end in steps.outages:
                if end - max(begin, here - later) > seconds:
                    return passed + later + end - self.offset
        return math.inf

    def _passed(self, time: float) -> tuple[float, float]:
        """Seconds of whole passes of the staircase, and seconds within the present one.

        What begins at that time, up to rounding, has begun.
        """
        within, period = time + self.offset, self.staircase.period
        within += 8 * math.ulp(within)
        if within < period:
            return 0.0, within
        passed = within // period * period
        return passed, within - passed

    def bytes_between(self, begin: float, end: float) -> float:
        """Bytes that the link delivers from one time to another (seconds)."""
        return (self._area(end + self.offset) - self._area(begin + self.offset)) * self.scale

    def finish_time(self, start: float, size: float) -> float:
        """Time at which a transfer that begins at ``start`` has delivered ``size`` bytes.

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
        ValueError
            The size or the start is not a number of 0 or more.
        """
        steps = self.staircase
        within = start + self.offset
        if not (0 < size < _INF and 0 <= within < _INF):
            return self._without_transfer(start, size)
        amount = size / self.scale
        starts, ends, rates, delivered, period, total = steps.table
        cycles = 0.0
        if within >= period:
            if steps.refuses:
                raise steps.beyond(within, self.offset)
            cycles, within = divmod(within, period)
        piece = bisect_right(starts, within) - 1
        rate = rates[piece]
        if rate and amount <= (ends[piece] - within) * rate:
            finish = start + amount / rate
            if finish < _INF:
                return finish
        reached = delivered[piece] + (within - starts[piece]) * rate + amount
        if reached > total:
            if steps.refuses:
                raise steps.beyond(math.inf, self.offset)
            if total == 0:
                raise never_ends(size, start)
            passes, reached = divmod(reached, total)
            if reached == 0:  # exactly at the end of a pass: the earliest time lies within it
                passes, reached = passes - 1, total
            cycles += passes
        # The last piece that begins before the area is reached: the one in which it is.
        piece = bisect_left(delivered, reached, 1) - 1
        rate = rates[piece]
        if rate == 0:  # only of a last piece without end
            raise never_ends(size, start)
        finish = starts[piece] + (reached - delivered[piece]) / rate - self.offset
        if cycles:
            finish += cycles * period
        if finish < _INF:
            # Rounding in a looped integral must never let a transfer end before it began.
            return finish if finish > start else start
        raise never_ends(size, start)

    def _without_transfer(self, start: float, size: float) -> float:
        if size < 0 or not math.isfinite(size):
            raise ValueError(f"cannot transfer {size} bytes")
        if size > 0:
            raise ValueError(f"cannot transfer anything at {start} s")
        return start

    def _area(self, time: float) -> float:
        """Integral of the unscaled rates from the beginning of the staircase, bytes."""
        steps = self.staircase
        starts, _, rates, delivered, period, total = steps.table
        if not 0 <= time < math.inf:
            raise ValueError(f"no capacity is known at {time - self.offset} s")
        cycles = 0.0
        if time >= period:
            if steps.refuses:
                if time > period:
                    raise steps.beyond(time, self.offset)
                return total
            cycles, time = divmod(time, period)
        piece = bisect_right(starts, time) - 1
        area = delivered[piece] + (time - starts[piece]) * rates[piece]
        return area + cycles * total if cycles else area


def never_ends(size: float, start: float) -> TransferNeverEnds:
    """Error for a transfer of ``size`` bytes at ``start`` (seconds) without an end."""
    return TransferNeverEnds(
        f"{size:.0f} bytes sent at {start:g} s never arrive: the capacity stays at zero"
    )
