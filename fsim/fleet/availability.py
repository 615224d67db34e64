"""When a client can take part, and whether it stays.

Asking never changes the answer: every process is a function of its named random stream alone, so
that who is asked, when and how often leaves no trace in the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Availability(Protocol):
    """The availability of one client."""

    def next_available(self, time: float) -> float:
        """The earliest time (seconds), not before ``time``, at which the client is available."""
        ...

    def drops_out(self, round_number: int) -> float | None:
        """Where in its computing the client vanishes in a round.

        Returns
        -------
        float or None
            The share of its compute time after which it falls silent, in [0, 1); None if it stays.
        """
        ...


@dataclass(frozen=True)
class AlwaysOn:
    """Available at all times, and never lost."""

    def next_available(self, time: float) -> float:
        """See :class:`Availability`."""
        return time

    def drops_out(self, round_number: int) -> float | None:
        """See :class:`Availability`."""
        return None


@dataclass(frozen=True)
class Dropout:
    """Available at all times, lost while computing with a probability a round (Fed-FSTQ: 0.1).

    Attributes
    ----------
    probability
        Of vanishing in a round, in [0, 1).
    draws
        Round number -> the generator of that round's draws.
    """

    probability: float
    draws: Callable[[int], np.random.Generator]

    def next_available(self, time: float) -> float:
        """See :class:`Availability`."""
        return time

    def drops_out(self, round_number: int) -> float | None:
        """See :class:`Availability`."""
        rng = self.draws(round_number)
        lost, moment = rng.uniform(size=2)
        return float(moment) if lost < self.probability else None


class OnOff:
    """Alternately on and off, each for an exponential time: a renewal process.

    A client that is off when its round begins is waited for. Going off does not interrupt a round
    that has begun.

    Parameters
    ----------
    on, off
        Mean seconds of each, positive.
    rng
        The client's own generator; all its draws are taken in the order of time.
    """

    def __init__(self, on: float, off: float, rng: np.random.Generator) -> None:
        self._means = (on, off)
        self._rng = rng
        # The state at time 0 has the long-run probability of being on; exponential times have no
        # memory, so what is left of the period in progress is exponential as well.
        self._first_on = bool(rng.uniform() < on / (on + off))
        self._ends = [0.0]
        self._extend()

    def _extend(self) -> None:
        period = len(self._ends) - 1
        mean = self._means[0 if self._is_on(period) else 1]
        self._ends.append(self._ends[-1] + float(self._rng.exponential(mean)))

    def _is_on(self, period: int) -> bool:
        return (period % 2 == 0) == self._first_on

    def next_available(self, time: float) -> float:
        """See :class:`Availability`."""
        while self._ends[-1] <= time:
            self._extend()
        period = int(np.searchsorted(self._ends, time, side="right")) - 1
        return time if self._is_on(period) else self._ends[period + 1]

    def drops_out(self, round_number: int) -> float | None:
        """See :class:`Availability`."""
        return None
