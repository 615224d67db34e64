"""The clients that have nothing to do, as a sequence, without a list of them all."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import overload


class Idle(Sequence[int]):
    """Clients 0 to ``count - 1`` without those at work, in ascending order.

    Looking one up takes the logarithm of how many are at work, however many there are: a fleet of a
    million with a hundred at work is as quick as one of a thousand.

    Parameters
    ----------
    count
        Clients there are.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._busy: list[int] = []
        # busy[j] - j idle clients come before the j-th at work: what an index is looked up in.
        self._before: list[int] = []

    def leave(self, client: int) -> None:
        """The client has something to do."""
        insort(self._busy, client)
        self._before = [busy - at for at, busy in enumerate(self._busy)]

    def come_back(self, client: int) -> None:
        """The client has nothing to do any more."""
        del self._busy[bisect_left(self._busy, client)]
        self._before = [busy - at for at, busy in enumerate(self._busy)]

    def __len__(self) -> int:
        return self._count - len(self._busy)

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> list[int]: ...

    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} idle clients, found {index}")
        return index + bisect_right(self._before, index)

    def __contains__(self, client: object) -> bool:
        if not isinstance(client, int) or not 0 <= client < self._count:
            return False
        at = bisect_left(self._busy, client)
        return at == len(self._busy) or self._busy[at] != client

    def __iter__(self) -> Iterator[int]:
        busy = set(self._busy)
        return (client for client in range(self._count) if client not in busy)

    @property
    def busy(self) -> tuple[int, ...]:
        """Clients at work, in ascending order."""
        return tuple(self._busy)
