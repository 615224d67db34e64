"""Heaps of due events and positions on staircases, the clock of a shared network."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from fsim.network.links.capacity import Capacity


class LazyHeap:
    """A heap whose entries can be withdrawn; they are marked, and dropped when they surface.

    Equal keys come out in the order in which they went in. Withdrawn entries are swept out before
    they outnumber the others, so that memory follows what is alive.
    """

    __slots__ = ("_heap", "_live", "_serial")

    def __init__(self) -> None:
        self._heap: list[list[Any]] = []
        self._live = 0
        self._serial = 0

    def __len__(self) -> int:
        return self._live

    def __iter__(self) -> Iterator[Any]:
        return (entry[2] for entry in self._heap if entry[2] is not None)

    def push(self, key: float, item: object) -> list[Any]:
        """Put an item in; what comes back is its entry: key, serial number, item."""
        self._serial += 1
        entry: list[Any] = [key, self._serial, item]
        heapq.heappush(self._heap, entry)
        self._live += 1
        return entry

    def withdraw(self, entry: list[Any]) -> None:
        """Take out an entry, which must be in."""
        entry[2] = None
        self._live -= 1
        if len(self._heap) > 2 * self._live + 32:
            self._heap = [item for item in self._heap if item[2] is not None]
            heapq.heapify(self._heap)

    def postpone(self, entry: list[Any], key: float) -> None:
        """Give the entry at the top, as :meth:`top` told it, a later key; it goes last of those."""
        self._serial += 1
        entry[0], entry[1] = key, self._serial
        heapq.heapreplace(self._heap, entry)

    def top(self) -> list[Any] | None:
        """The entry with the smallest key, which stays in; None if there is none."""
        heap = self._heap
        while heap:
            if heap[0][2] is not None:
                return heap[0]
            heapq.heappop(heap)
        return None


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
