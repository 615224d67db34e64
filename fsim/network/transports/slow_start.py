"""The slow start of a TCP connection."""

from __future__ import annotations

import math

from fsim.network.links.capacity import Capacity
from fsim.network.transports.packets import SEGMENT_WIRE

INITIAL_WINDOW = 10
"""Segments in the first flight of a connection (RFC 6928)."""


def slow_start(
    link: Capacity, cap: float, wire: float, time: float, round_trip: float, until: float = math.inf
) -> tuple[float, float, float]:
    """Flights of slow start, until they fill the link or the cap, or the last one is begun.

    Returns
    -------
    tuple
        Seconds at which what follows may be sent; bytes on the wire that are then left; and the
        most that may be sent at once: ``inf``, or the flight in the air when ``until`` comes.
    """
    flight = float(INITIAL_WINDOW * SEGMENT_WIRE)
    while flight < wire and flight < min(link.rate_at(time), cap) * round_trip:
        if until < math.inf and (
            time + round_trip >= until or link.bytes_between(time, until) <= flight
        ):
            return time, wire, flight
        # A capacity that falls within the round trip can hold the flight up for longer.
        time = max(time + round_trip, link.finish_time(time, flight))
        wire -= flight
        flight *= 2
    return time, wire, math.inf
