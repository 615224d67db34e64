"""A place on a capacity's staircase, for those who walk along it."""

from __future__ import annotations

import math
from bisect import bisect_right

from fsim.network.links.capacity import Capacity


class Cursor:
    """A place on a capacity's staircase that moves on piece by piece.

    Parameters
    ----------
    capacity
        Whose staircase it is.
    time
        Seconds at which the walk begins.

    Attributes
    ----------
    rate
        Bytes/s that hold now.
    until
        Seconds at which the next piece begins; ``inf`` if this one lasts for ever.

    Raises
    ------
    TraceError
        The capacity says nothing about that time.
    """

    __slots__ = ("_capacity", "_cycle", "_endless", "_piece", "rate", "until")

    def __init__(self, capacity: Capacity, time: float) -> None:
        steps = capacity.staircase
        starts, _, _, _, period, total = steps.table
        within = time + capacity.offset
        self._capacity = capacity
        self._cycle = 0.0
        self._endless = not steps.refuses and period < math.inf and (len(starts) == 1 or total == 0)
        if within >= period:
            if steps.refuses:
                raise steps.beyond(within, capacity.offset)
            self._cycle, within = divmod(within, period)
        self._piece = bisect_right(starts, within) - 1
        self._look()

    @property
    def period(self) -> float | None:
        """Seconds after which the changes to come begin again; None if they do not."""
        steps = self._capacity.staircase
        if math.isinf(self.until) or steps.refuses or math.isinf(steps.period):
            return None
        return steps.period

    @property
    def settled(self) -> float:
        """Seconds of the simulation by which changes that do not begin again are over."""
        steps = self._capacity.staircase
        last = steps.period if steps.refuses else steps.table[0][-1]
        return last - self._capacity.offset

    def step(self) -> None:
        """Go to the next piece.

        Raises
        ------
        TraceError
            There is none, and the capacity's ``past_end`` is ``"error"``.
        """
        steps = self._capacity.staircase
        if self._piece + 1 < len(steps.table[0]):
            self._piece += 1
        elif steps.refuses:
            raise steps.beyond(math.inf, self._capacity.offset)
        else:
            self._cycle += 1
            self._piece = 0
        self._look()

    def _look(self) -> None:
        _, ends, rates, _, period, _ = self._capacity.staircase.table
        self.rate = rates[self._piece] * self._capacity.scale
        self.until = math.inf
        if not self._endless:
            # Counted in whole cycles, so that rounding does not add up over a long simulation.
            begin = self._cycle * period if self._cycle else 0.0
            self.until = begin + ends[self._piece] - self._capacity.offset
