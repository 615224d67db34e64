"""The slow start of a TCP connection."""

from __future__ import annotations

import math
from typing import NamedTuple

from fsim.network.links.capacity import Capacity
from fsim.network.transports.pace import Pace


class Flights(NamedTuple):
    """The flights of a transfer until they fill the link or the cap, or the last one is begun.

    Attributes
    ----------
    time
        Seconds at which what follows may be sent.
    rest
        Bytes on the wire that are then left.
    flight
        Bytes of the flight that comes next.
    limit
        The most that may be sent at once: ``inf``, or that flight if it is in the air when
        ``until`` comes.
    """

    time: float
    rest: float
    flight: float
    limit: float


def slow_start(
    link: Capacity, pace: Pace, time: float, round_trip: float, until: float = math.inf
) -> Flights:
    """Flights of slow start over a link, from ``time`` on and at the most ``until`` (seconds)."""
    flight, rest = pace.flight, pace.wire
    while flight < rest and not pace.fills(flight, link.rate_at(time), round_trip):
        if until < math.inf and (
            time + round_trip >= until or link.bytes_between(time, until) <= flight
        ):
            return Flights(time, rest, flight, flight)
        # A capacity that falls within the round trip can hold the flight up for longer.
        time = max(time + round_trip, link.finish_time(time, flight))
        rest -= flight
        flight *= 2
    return Flights(time, rest, flight, math.inf)
