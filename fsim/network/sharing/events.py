"""A heap of due events, the clock of a shared network."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any


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
