"""Cache of values in memory, the least recently used given up beyond a bound of bytes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from cachetools import LRUCache

LIMIT = 512_000_000
"""Bytes that are kept, the least recently used going first."""


class MemoryCache:
    """Values by key, for what is a pure function of its key.

    Parameters
    ----------
    limit
        Bytes that are kept; a value of more is not.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._values: LRUCache[Hashable, tuple[Any, int]] = LRUCache(limit, lambda item: item[1])

    def get(self, key: Hashable) -> Any:
        """The value of a key, None if it is not there any more."""
        return self._values.get(key, (None, 0))[0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep a value of ``size`` bytes."""
        if size <= self._values.maxsize:
            self._values[key] = value, size
