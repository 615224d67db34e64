"""Congestion control: how a TCP sender's window answers to acknowledgements and to losses.

Windows are counted in segments here, as the sources have them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from typing_extensions import override


class Congestion(ABC):
    """Base class of congestion controls; one is the state of one sender past its slow start."""

    name: ClassVar[str]

    restarts: ClassVar[bool] = True
    """Whether a window that idles goes back to that of a new connection (RFC 2861)."""

    yields: ClassVar[bool] = True
    """Whether a loss is taken for congestion: slow start ends by it."""

    leaves_early: ClassVar[bool] = False
    """Whether slow start ends by a wait that is noticed (HyStart; RFC 9406), before a loss."""

    mean: ClassVar[float] = 1.0
    """Mean of its window between two losses, as a share of that at a loss."""

    @abstractmethod
    def reduced(self, window: float) -> float:
        """Window after a loss, segments."""

    @abstractmethod
    def grown(self, window: float, seconds: float, round_trip: float) -> float:
        """Window after so many seconds of a round trip or more without loss, segments."""


class Reno(Congestion):
    """Half the window at a loss, a segment more each round trip (RFC 5681, section 3.1)."""

    name: ClassVar[str] = "reno"
    mean: ClassVar[float] = 0.75

    @override
    def reduced(self, window: float) -> float:
        return max(2.0, window / 2)

    @override
    def grown(self, window: float, seconds: float, round_trip: float) -> float:
        return window + 1


class Cubic(Congestion):
    """A cubic curve back to the window of the last loss and beyond, never below Reno (RFC 9438).

    The region in which it follows Reno (section 4.3), fast convergence (section 4.7) and the target
    a round trip ahead (section 4.2) included.
    """

    name: ClassVar[str] = "cubic"
    leaves_early: ClassVar[bool] = True

    SCALE: ClassVar[float] = 0.4
    """Segments/s^3, the RFC's C."""

    DECREASE: ClassVar[float] = 0.7
    """What a loss leaves of the window, the RFC's beta."""

    mean: ClassVar[float] = 1 - (1 - DECREASE) / 4
    """Of ``1 - (1 - DECREASE) (1 - x)^3``, x from 0 to 1."""

    RENO_STEP: ClassVar[float] = 3 * (1 - DECREASE) / (1 + DECREASE)
    """Segments a round trip of a Reno that is as fast with this decrease, the RFC's alpha."""

    def __init__(self) -> None:
        self._before, self._reno, self._elapsed, self._rise = 0.0, 0.0, 0.0, 0.0

    @override
    def reduced(self, window: float) -> float:
        converges = window < self._before
        self._before = window * (1 + self.DECREASE) / 2 if converges else window
        smaller = max(2.0, self.DECREASE * window)
        self._begin(smaller)
        return smaller

    def _begin(self, window: float) -> None:
        self._reno, self._elapsed = window, 0.0
        self._rise = math.cbrt(max(0.0, self._before - window) / self.SCALE)

    @override
    def grown(self, window: float, seconds: float, round_trip: float) -> float:
        if not self._before:
            # Of a connection that was kept, whose last loss lies before this transfer.
            self._before = window
            self._begin(window)
        self._elapsed += seconds
        self._reno += self.RENO_STEP if self._reno < self._before else 1.0
        target = self.SCALE * (self._elapsed + round_trip - self._rise) ** 3 + self._before
        return max(window, self._reno, min(target, 1.5 * window))


class Bbr(Congestion):
    """A window for the rate that is measured, whatever is lost (Cardwell et al., 2016; Linux's).

    What is lost is sent again, and that is all; the window is kept over idle times.
    """

    name: ClassVar[str] = "bbr"

    restarts: ClassVar[bool] = False
    yields: ClassVar[bool] = False

    @override
    def reduced(self, window: float) -> float:
        return window

    @override
    def grown(self, window: float, seconds: float, round_trip: float) -> float:
        return window


CONGESTION: dict[str, type[Congestion]] = {kind.name: kind for kind in (Cubic, Reno, Bbr)}
"""Name in a scenario -> congestion control; the first is the default."""
