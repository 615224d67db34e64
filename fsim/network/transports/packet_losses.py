"""The packets of a transfer that are lost."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable

import numpy as np
from typing_extensions import override

Draws = Callable[[int], np.random.Generator]
"""Number of a connection -> its stream of random numbers."""


class Losses(ABC):
    """Packets that are lost, by their number among all that are sent, those sent again included."""

    @abstractmethod
    def before(self, end: int) -> int:
        """Number of packets lost of those before one."""

    def within(self, first: int, end: int) -> int:
        """Number of packets lost of those from ``first`` on and before ``end``."""
        return self.before(end) - self.before(first)

    def loses(self, packet: int) -> bool:
        """True if a packet is lost."""
        return self.within(packet, packet + 1) > 0


class EvenLosses(Losses):
    """Losses at their mean distance from each other and from the first packet.

    Parameters
    ----------
    probability
        Losses a packet, less than 1.
    """

    def __init__(self, probability: float) -> None:
        self._probability = probability

    @override
    def before(self, end: int) -> int:
        # A whole number is reached by multiplication a rounding too low or too high.
        return math.floor(end * self._probability + 1e-9)


class DrawnLosses(Losses):
    """Losses of each packet by itself, with the same probability.

    The gaps between them are drawn, not each packet, and remembered: whoever asks twice is told
    the same.

    Parameters
    ----------
    probability
        Of a loss, more than 0.
    draws
        Streams of random numbers.
    number
        Of the connection; one that takes the place of a broken one has draws of its own.
    """

    def __init__(self, probability: float, draws: Draws, number: int = 0) -> None:
        self._probability, self._draws, self._number = probability, draws, number
        self._rng = draws(number)
        self._lost: list[int] = []

    def of_another(self) -> DrawnLosses:
        """Losses of the connection that follows."""
        return DrawnLosses(self._probability, self._draws, self._number + 1)

    @override
    def before(self, end: int) -> int:
        while not self._lost or self._lost[-1] < end:
            last = self._lost[-1] if self._lost else -1
            self._lost.append(last + int(self._rng.geometric(self._probability)))
        return bisect_left(self._lost, end)
