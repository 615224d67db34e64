"""Interface of every availability, and the two kinds that are never away."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol

from typing_extensions import override

from fsim.core.rng import participation, stream

FURTHEST = 1e12
"""Seconds (32,000 years): no later time may be asked about. Beyond, doubles tell times less than
0.1 ms apart no longer from one another."""


SHORTEST = 1e-3
"""Seconds (1 ms) that an interval of a process or a recording lasts at least, in the mean of the
one and each of the other, so that it is not lost to rounding at any time that may be asked for."""


class Window(NamedTuple):
    """Seconds from which, and until which, a client is available: ``begin <= time < end``."""

    begin: float
    end: float


Moment = Literal["before-download", "computing", "uploading", "any"]
"""What a client that drops out is about to do, or at; any: one of the three, equally likely."""


class Vanishing(NamedTuple):
    """Point at which a client vanishes: after a share, in [0, 1), of what it is at."""

    moment: Moment
    share: float


class Availability(Protocol):
    """The availability of one client. All times are seconds of simulated time, not negative."""

    # A million clients have one each.
    __slots__ = ()

    def next_available(self, time: float) -> float:
        """The earliest time, not before ``time``, at which the client is available; finite."""
        ...

    def available_until(self, time: float) -> float:
        """The earliest time, not before ``time``, at which the client is not available.

        ``inf`` for never; ``time`` itself for a client that is not available then.
        """
        ...

    def windows(self, start: float) -> Iterator[Window]:
        """The times from ``start`` on at which the client is available.

        In order, apart from one another and not empty; the first begins at ``start`` for a client
        that is available then. There may be no last one.
        """
        ...

    def drops_out(self, round_number: int, repeat: int = 0) -> Vanishing | None:
        """Point in a round at which the client vanishes; None if it stays.

        ``repeat`` says how often it was asked before in that round.
        """
        ...

    @property
    def longest_window(self) -> float:
        """Seconds that no window ever exceeds; ``inf`` where there is no such bound.

        Of laws without a bound, what all but one window in 10^12 keep below.
        """
        ...


class _NeverAway(Availability):
    """Available at all times."""

    __slots__ = ()

    @override
    def next_available(self, time: float) -> float:
        return time

    @override
    def available_until(self, time: float) -> float:
        return math.inf

    @override
    def windows(self, start: float) -> Iterator[Window]:
        yield Window(start, math.inf)

    @property
    @override
    def longest_window(self) -> float:
        return math.inf


class AlwaysOn(_NeverAway):
    """Available at all times, and never lost."""

    __slots__ = ()

    @override
    def drops_out(self, round_number: int, repeat: int = 0) -> Vanishing | None:
        return None


class Dropout(_NeverAway):
    """Available at all times, lost with a probability each time that it is asked.

    As in Fed-FSTQ (arXiv 2604.25421), where it is 0.1.

    Parameters
    ----------
    probability
        Of vanishing each time that it is asked, in [0, 1).
    seed, client
        Of the streams that the draws come from.
    moment
        Where in a round.
    """

    __slots__ = ("_client", "_moment", "_probability", "_seed")

    def __init__(
        self, probability: float, seed: int, client: int, moment: Moment = "computing"
    ) -> None:
        self._probability = probability
        self._seed = seed
        self._client = client
        self._moment = moment

    @override
    def drops_out(self, round_number: int, repeat: int = 0) -> Vanishing | None:
        keys = participation(self._client, round_number, repeat)
        rng = stream(self._seed, "fleet.dropout", *keys)
        lost, share = rng.uniform(size=2)
        if lost >= self._probability:
            return None
        moment = self._moment
        if moment == "any":
            moment = ("before-download", "computing", "uploading")[int(rng.integers(3))]
        return Vanishing(moment, float(share))


class Intermittent(Availability, ABC):
    """A client that comes and goes: all answers are read from its windows.

    The first window of the last question is kept, since a simulation asks about neighbouring times:
    whoever was told (asked, begin, end) knows the first window from any time in [asked, end).
    """

    __slots__ = ("_first",)

    def __init__(self) -> None:
        self._first: tuple[float, float, float] | None = None

    @property
    @abstractmethod
    def longest_window(self) -> float:
        """Seconds that no window ever exceeds; ``inf`` where there is no such bound."""

    @abstractmethod
    def _windows(self, start: float) -> Iterator[Window]:
        """As :meth:`windows` has them, for a checked ``start``; begins may lie before it."""

    @override
    def windows(self, start: float) -> Iterator[Window]:
        """Windows in order, the first one cut at ``start``.

        Raises
        ------
        ValueError
            ``start`` is negative, not a number, or beyond :data:`FURTHEST`.
        """
        if not 0 <= start <= FURTHEST:
            raise ValueError(f"found a time of {start:g} s, allowed is 0 to {FURTHEST:g} s")
        return (Window(max(begin, start), end) for begin, end in self._windows(start))

    @override
    def next_available(self, time: float) -> float:
        return self._first_from(time).begin

    @override
    def available_until(self, time: float) -> float:
        first = self._first_from(time)
        return first.end if first.begin == time else time

    @override
    def drops_out(self, round_number: int, repeat: int = 0) -> Vanishing | None:
        return None

    def _first_from(self, time: float) -> Window:
        if self._first is not None:
            since, begin, end = self._first
            if since <= time < end:
                return Window(max(begin, time), end)
        first = next(self.windows(time))
        self._first = (time, *first)
        return first


def joined(windows: Iterator[Window], start: float, slack: float = 0.0) -> Iterator[Window]:
    """Those windows that end after ``start``, empty ones left out, touching ones made one.

    Parameters
    ----------
    windows
        In the order of their begins.
    start
        Seconds.
    slack
        Seconds that may lie between windows that touch, for those whose ends are rounded.
    """
    begin, end = math.inf, -math.inf
    for window in windows:
        if window.end <= max(window.begin, start):
            continue
        if window.begin <= end + slack:
            end = max(end, window.end)
            continue
        if end > begin:
            yield Window(begin, end)
        begin, end = window
    if end > begin:
        yield Window(begin, end)
