"""The pieces of a capacity over time, and the areas under them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from fsim.core.errors import TraceError

PastEnd = Literal["loop", "hold", "error"]
Table = tuple[list[float], list[float], list[float], list[float], float, float]


class Staircase:
    """Pieces of constant rate, and the integral at the beginning of each.

    Parameters are those of :class:`~fsim.network.links.capacity.Capacity`.

    Attributes
    ----------
    delivered
        Bytes from the beginning of the staircase to the beginning of each piece, shape (pieces,).
    mean
        Mean rate over the staircase, in bytes/s (the last rate, if that lasts for ever).
    highest
        The largest rate, in bytes/s.
    period, total
        Seconds and bytes after which the staircase begins again or is unknown; ``inf`` where the
        last rate is kept, be it because its piece never ends or because it is held.
    refuses
        Whether the staircase is unknown after its period.

    Raises
    ------
    TraceError
        The pieces are not a staircase as described.
    """

    def __init__(
        self,
        starts: Sequence[float] | npt.NDArray[np.float64],
        rates: Sequence[float] | npt.NDArray[np.float64],
        duration: float,
        past_end: PastEnd,
    ) -> None:
        self.starts = np.asarray(starts, dtype=np.float64)
        self.rates = np.asarray(rates, dtype=np.float64)
        self.duration = float(duration)
        self.past_end = past_end
        self._check()
        pieces = np.diff(self.starts) * self.rates[:-1]
        self.delivered = np.concatenate(([0.0], np.cumsum(pieces)))
        self.highest = float(self.rates.max())
        self.mean = float(self.rates[-1])
        self.period, self.total = math.inf, math.inf
        if math.isfinite(self.duration):
            last = (self.duration - self.starts[-1]) * self.rates[-1]
            once = float(self.delivered[-1] + last)
            self.mean = once / self.duration
            if past_end != "hold":
                self.period, self.total = self.duration, once
        self.refuses = past_end == "error" and math.isfinite(self.duration)

    @classmethod
    def constant(cls, rate: float) -> Staircase:
        """One rate (bytes/s) for ever: what the constructor makes of it, many times as fast.

        A fleet has one for each client whose own rate does not change.
        """
        rate = float(rate)
        if not 0 <= rate < math.inf:
            raise TraceError(f"found a rate of {rate:g} bytes/s, allowed is 0 or more, finite")
        steps = cls.__new__(cls)
        steps.starts, steps.rates = np.zeros(1), np.array([rate])
        steps.delivered = np.zeros(1)
        steps.duration, steps.past_end, steps.refuses = math.inf, "loop", False
        steps.highest = steps.mean = rate
        steps.period = steps.total = math.inf
        return steps

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
        if self.past_end not in (allowed := get_args(PastEnd)):
            raise TraceError(f"found past_end {self.past_end!r}, allowed are {', '.join(allowed)}")

    @cached_property
    def table(self) -> Table:
        """Starts, ends, rates, delivered, period, total.

        Single numbers come out of lists several times faster than out of arrays. Made when first
        asked for, so that a staircase that is only ever asked about many clients at once has none.
        """
        starts = self.starts.tolist()
        ends = [*starts[1:], self.period]
        rates, delivered = self.rates.tolist(), self.delivered.tolist()
        return starts, ends, rates, delivered, self.period, self.total

    @cached_property
    def outages(self) -> list[tuple[float, float]]:
        """Seconds at which the rate falls to zero and rises again, of each time that it does.

        One that goes on over the end of a loop begins before 0.
        """
        still = np.concatenate(([False], self.rates == 0, [False]))
        begins = np.flatnonzero(still[1:] & ~still[:-1])
        ends = np.flatnonzero(still[:-1] & ~still[1:])
        bounds = np.append(self.starts, self.period)
        spans = zip(bounds[begins].tolist(), bounds[ends].tolist(), strict=True)
        outages = [(begin, end) for begin, end in spans if math.isfinite(end)]
        loops = math.isfinite(self.period) and not self.refuses and self.total > 0
        if loops and self.rates[0] == self.rates[-1] == 0:
            return [(outages[-1][0] - self.period, outages[0][1]), *outages[1:-1]]
        return outages

    @cached_property
    def longest_outage(self) -> float:
        """Seconds; 0 if there is none that ends."""
        return max((end - begin for begin, end in self.outages), default=0.0)

    def beyond(self, time: float, offset: float) -> TraceError:
        """Error for a time (on the staircase; inf for its end) at which it is unknown."""
        reached = "its end" if math.isinf(time) else f"{time - offset:g} s"
        return TraceError(
            f"the capacity is known for {self.duration - offset:g} s and a transfer "
            f"reached {reached}; past_end: loop or hold would say what comes after"
        )
