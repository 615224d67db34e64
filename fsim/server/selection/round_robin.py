"""``round-robin``: everyone in turn."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.server.selection.base import Selector


@dataclass
class RoundRobin(Selector):
    """The next available clients by number after the last one chosen, and from the first again.

    A client that is not there in its turn is passed over until the next. Nothing is drawn.
    """

    name: ClassVar[str] = "round-robin"
    timeless: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._last = -1

    def _choose(
        self, round_number: int, available: Sequence[int], count: int, rng: np.random.Generator
    ) -> list[int]:
        first = bisect_right(available, self._last)
        clients = [available[(first + turn) % len(available)] for turn in range(count)]
        self._last = clients[-1]
        return clients
