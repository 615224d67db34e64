"""The pace of a transfer: all that a transport says of it, whatever the capacity of its way."""

from __future__ import annotations

import math
from typing import NamedTuple

from fsim.network.links.capacity import Capacity
from fsim.network.transports.packets import SEGMENT_WIRE

INITIAL_FLIGHT = 10.0 * SEGMENT_WIRE
"""Bytes on the wire of a connection's first flight: 10 segments (RFC 6928)."""


class Opening(NamedTuple):
    """The state of a connection as a transfer begins.

    Attributes
    ----------
    window
        Bytes on the wire that may be sent at once over it; None if there is none yet.
    fetched
        Whether it is the receiver who has to connect then, and to ask for the payload.
    reconnects
        Whether both ends have been connected before.
    promotion
        Seconds before all else, in which the client's radio wakes up.
    """

    window: float | None = None
    fetched: bool = False
    reconnects: bool = False
    promotion: float = 0.0


NEW_CONNECTION = Opening()
"""Whoever sends has to connect."""


class Pace(NamedTuple):
    """The pace of a transfer.

    It waits for ``setup``; then come flights, each twice the one before and each waiting a round
    trip for its acknowledgements, until one fills the way or carries all that is left; then the
    rest as fast as the way allows; and ``closing`` after the last byte it is over.

    Attributes
    ----------
    wire
        Bytes on the wire of the whole payload.
    setup
        Seconds until the first byte may be sent.
    closing
        Seconds from the last byte to the transfer's end.
    flight
        Bytes on the wire of the first flight; ``inf`` for a transport that waits for nothing.
    cap
        Bytes/s that are not exceeded once the flights are over.
    share
        The part of the client's own link that is there for packets that arrive.
    """

    wire: float
    setup: float = 0.0
    closing: float = 0.0
    flight: float = math.inf
    cap: float = math.inf
    share: float = 1.0

    def link(self, capacity: Capacity) -> Capacity:
        """The capacity that the client's own link has for the flights."""
        return capacity if self.share == 1 else capacity.scaled(self.share)

    def window(self, flight: float, rest: float, round_trip: float) -> float:
        """Bytes that may be sent at once after a flight, or a stream, of which ``rest`` was left.

        Each byte that is acknowledged lets one more be sent. What has filled the way has shown no
        more than that the window is as large; it is taken to have doubled once more.
        """
        grown = flight + min(rest, flight)
        return max(INITIAL_FLIGHT, min(grown, self.cap * round_trip)) if round_trip else grown

    def fills(self, flight: float, rate: float, round_trip: float) -> bool:
        """True if a flight keeps a way of ``rate`` bytes/s busy for a whole round trip."""
        return flight >= min(rate, self.cap) * round_trip
