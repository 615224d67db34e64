"""The growth of a window into a capacity that has risen.

A sender has as much in the air as its window holds, and its window has grown with what the link let
through. When the capacity falls the window stays, for what is too much waits at the link. When the
capacity rises beyond all that the window has seen it takes round trips until the acknowledgements
come as fast: twice as fast each time at the most.
"""

from __future__ import annotations

import math

from typing_extensions import override

from fsim.network.links.capacity import Capacity
from fsim.network.links.cursor import Cursor
from fsim.network.transports.connection import timeout
from fsim.network.transports.pace import INITIAL_FLIGHT

ROUNDING = 1e-9
"""Part of a transfer that is rounding, not bytes: it does not outlast a piece of the link."""


class GrowthCursor(Cursor):
    """A place on a link's staircase, at the rate that a sender has reached there.

    After an outage of more than a retransmission timeout it begins again, with the first flight of
    a new connection.

    Parameters
    ----------
    capacity
        The link.
    time
        Seconds.
    round_trip
        Seconds, more than 0.
    highest
        Bytes/s that the sender's window was large enough for before.

    Attributes
    ----------
    highest
        The same, now.
    """

    __slots__ = ("_dark_since", "_doubles_at", "_limit", "_link_rate", "_round_trip",
                 "_steps_at", "highest")  # fmt: skip

    def __init__(self, capacity: Capacity, time: float, round_trip: float, highest: float) -> None:
        self.highest, self._round_trip = highest, round_trip
        self._limit = self._doubles_at = self._dark_since = math.inf
        super().__init__(capacity, time)
        self._enter(time)
        self._apply()

    @property
    def grows(self) -> bool:
        """True while the sender is slower than its link."""
        return self._limit < math.inf

    @override
    def step(self) -> None:
        now = self.until
        if self._doubles_at <= now:
            self._limit *= 2
            self._doubles_at += self._round_trip
        if self._steps_at <= now:
            super().step()
            self._enter(now)
        self._apply()

    @override
    def _look(self) -> None:
        super()._look()
        self._link_rate, self._steps_at = self.rate, self.until

    def _enter(self, now: float) -> None:
        """A piece of the link begins."""
        if self._link_rate == 0:
            self._dark_since = min(self._dark_since, now)
        else:
            if now - self._dark_since > timeout(self._round_trip):
                self.highest = restart(self._round_trip)
                self._limit = math.inf
            self._dark_since = math.inf
        if self._link_rate > 2 * self.highest and not self.grows:
            self._limit, self._doubles_at = 2 * self.highest, now + self._round_trip

    def _apply(self) -> None:
        if self._limit >= self._link_rate:
            self._limit = self._doubles_at = math.inf
        self.rate = min(self._link_rate, self._limit)
        self.highest = max(self.highest, self.rate)
        self.until = min(self._steps_at, self._doubles_at)


def restart(round_trip: float) -> float:
    """Bytes/s that a sender begins with after an outage: half of a first flight a round trip."""
    return INITIAL_FLIGHT / round_trip / 2


def streamed(
    link: Capacity,
    begin: float,
    rest: float,
    round_trip: float,
    window: float,
    until: float = math.inf,
) -> tuple[float, float]:
    """Time at which a sender that fills its link stops, seconds, and bytes on the wire left then.

    Parameters
    ----------
    link
        What it sends over.
    begin
        Seconds.
    rest
        Bytes on the wire at the beginning.
    round_trip
        Seconds.
    window
        Bytes that it may send at once at the beginning; one that has no more to send, or waits for
        nothing, is as fast as its link whatever that does.
    until
        Seconds at which it stops, through or not.

    Raises
    ------
    TransferNeverEnds, TraceError
        See :meth:`fsim.network.links.capacity.Capacity.finish_time`.
    """
    rounding = ROUNDING * rest
    time, grows = begin, rest > window and round_trip > 0
    highest = window / round_trip if grows else math.inf
    while True:
        change = back = math.inf
        if grows:
            back = link.next_return(time, timeout(round_trip), begin)
            change = min(link.next_above(time, highest), back)
            # Rounding must never keep it where it is.
            change = max(change, math.nextafter(time, math.inf))
        stop = min(change, until)
        if math.isinf(stop):
            return link.finish_time(time, rest), 0.0
        passed = link.bytes_between(time, stop)
        if passed >= rest - rounding:
            return min(stop, link.finish_time(time, min(rest, passed))), 0.0
        time, rest = stop, rest - passed
        if time < until:
            if back <= time:
                highest = restart(round_trip)
            cursor = GrowthCursor(link, time, round_trip, highest)
            if cursor.until - time <= 8 * math.ulp(time + link.offset):
                # Rounding has left it at the end of the piece before.
                time = cursor.until
                cursor.step()
            while cursor.grows and time < until:
                end = min(cursor.until, until)
                passed = cursor.rate * (end - time)
                if passed >= rest - rounding:
                    return min(end, time + rest / cursor.rate), 0.0
                time, rest = end, rest - passed
                cursor.step()
            highest = cursor.highest
        if time >= until:
            return until, rest
