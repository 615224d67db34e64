"""Radios that sleep: the seconds that one takes to wake up before a transfer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple


class Waking(NamedTuple):
    """The state of a client's radio, and how long it takes to wake up.

    Attributes
    ----------
    promotion_after
        Seconds without a byte -> seconds until the radio is there for the next one.
    last_used
        Seconds, when the last byte went over it; ``-inf`` for never.
    """

    promotion_after: Callable[[float], float]
    last_used: float = -math.inf

    def promotion(self, time: float) -> float:
        """Seconds from a time (seconds), at which a transfer begins, until the radio is there."""
        return self.promotion_after(time - self.last_used)

    def used(self, time: float) -> Waking:
        """The same radio, used until a time (seconds)."""
        return self._replace(last_used=time)


AWAKE = Waking(lambda gap: 0.0)
"""A radio that never sleeps."""
