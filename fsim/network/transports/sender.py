"""A sender of one transfer: its flights, and what it makes of the packets that are lost."""

from __future__ import annotations

import math

from fsim.network.links.capacity import Capacity
from fsim.network.transports.connection import timeout
from fsim.network.transports.pace import INITIAL_FLIGHT, Pace, Window
from fsim.network.transports.packets import SEGMENT_WIRE


class Sender:
    """The state of a transfer between two flights.

    Parameters
    ----------
    pace
        Of the transfer.
    round_trip
        Seconds.

    Attributes
    ----------
    rest
        Bytes on the wire that have not arrived.
    window
        Bytes that may be sent at once.
    """

    __slots__ = ("_control", "_losses", "_packet", "_round_trip", "_threshold", "_trips", "_whole",
                 "rest", "window")  # fmt: skip

    def __init__(self, pace: Pace, round_trip: float) -> None:
        self._losses, self._round_trip = pace.losses, round_trip
        self._whole = pace.wire
        self.rest, self.window, self._threshold = pace.wire, pace.flight, pace.threshold
        self._packet, self._trips, self._control = pace.first, pace.trips, pace.control()

    @property
    def flight(self) -> float:
        """Bytes on the wire of the next flight; packets are whole where one may be lost."""
        window = self.window
        if self._losses is not None and window < math.inf:
            window = math.floor(window / SEGMENT_WIRE + 1e-9) * SEGMENT_WIRE
        return min(window, self.rest)

    @property
    def state(self) -> Window:
        """Its window, and from which size on it no longer doubles."""
        return Window(self.window, self._threshold)

    def streams(self, rate: float, wait: float = 0.0) -> bool:
        """True if all that is left follows without a pause over a way of ``rate`` bytes/s.

        Where others' packets wait, each round trip is ``wait`` seconds longer.
        """
        if self._lost(self.rest):
            return False
        return self.window >= self.rest or self.window >= rate * (self._round_trip + wait)

    def acknowledge(self, seconds: float) -> float:
        """Note that the next flight has been answered, in so many seconds.

        Returns
        -------
        float
            Seconds that pass until the flight after it is sent, 0 as a rule: the last packet of
            all, if lost, is missed by a timer alone.
        """
        flight, last = self.flight, self.flight == self.rest
        self._trips += 1
        lost = self._lost(flight)
        self._packet += packets(flight)
        self.rest -= flight - min(flight, lost * SEGMENT_WIRE)
        segments = self.window / SEGMENT_WIRE
        if lost and self._control.yields:
            self.window = self._threshold = self._control.reduced(segments) * SEGMENT_WIRE
        elif self.window >= self._threshold:
            grown = self._control.grown(segments, seconds, self._round_trip)
            self.window = grown * SEGMENT_WIRE
        elif seconds <= self._round_trip or self._losses is None:
            self.window *= 2
        if not (last and self._lost_last()):
            return 0.0
        # A probe goes out after two round trips, and after the least timeout besides if there was
        # one packet in the air (RFC 8985, section 7.2).
        return timeout(self._round_trip) if packets(flight) == 1 else self._round_trip

    def _lost_last(self) -> bool:
        """True if the packet that was sent last is lost."""
        return self._losses is not None and self._losses.loses(self._packet - 1)

    def _lost(self, size: float) -> int:
        if self._losses is None:
            return 0
        return self._losses.within(self._packet, self._packet + packets(size))

    def final_window(self) -> Window:
        """Window after what is left has been sent as well, as a stream.

        Each byte that is acknowledged lets one more be sent. A transfer that is a single flight
        does not enlarge the window beyond twice of what it had in the air, as Linux leaves one
        alone that is not used (RFC 7661 has such rules). What has filled the way has shown no more
        than that the window is as large; it is taken to have doubled once more.
        """
        trips = self._trips + max(1, math.ceil(self.rest / self.window))
        if self._threshold < math.inf:
            return Window(max(self.window, 2 * SEGMENT_WIRE), self._threshold, trips)
        used = min(self.rest, self.window)
        grown = self.window + used
        if self.rest == self._whole:
            grown = max(self.window, min(grown, 2 * used))
        return Window(max(INITIAL_FLIGHT, grown), trips=trips)


def packets(size: float) -> int:
    """Segments that so many bytes on the wire take."""
    return math.ceil(size / SEGMENT_WIRE - 1e-9)


def send_flights(
    link: Capacity, sender: Sender, time: float, round_trip: float, until: float = math.inf
) -> tuple[float, float]:
    """Send flights until all that is left can follow as a stream.

    Parameters
    ----------
    link
        What they are sent over.
    sender
        Whose flights they are; its state is changed.
    time
        Seconds at which the first one may be sent.
    round_trip
        Seconds.
    until
        Seconds at which it stops; the flight in the air then is not acknowledged.

    Returns
    -------
    tuple[float, float]
        Seconds at which what follows may be sent; and the most that may be sent at once then:
        ``inf``, or that flight if it is in the air when ``until`` comes.
    """
    while not sender.streams(link.rate_at(time)):
        flight = sender.flight
        if until < math.inf and (
            time + round_trip >= until or link.bytes_between(time, until) <= flight
        ):
            return time, flight
        # A capacity that falls within the round trip can hold the flight up for longer.
        answered = max(time + round_trip, link.finish_time(time, flight))
        time = answered + sender.acknowledge(answered - time)
    return time, math.inf
