"""The slow start of a TCP connection: of one, and of many at once."""

from __future__ import annotations

import math

import numpy as np

from fsim.network.bank import CapacityBank
from fsim.network.followers import Floats, Integers
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


def slow_starts(
    links: CapacityBank, who: Integers, caps: Floats, wire: Floats, time: Floats, round_trip: Floats
) -> tuple[Floats, Floats]:
    """:func:`slow_start` of many connections, flight by flight; ``inf`` for one that never ends.

    A flight is twice the one before, so that there are as many as a payload has doublings.
    """
    time, wire = time.copy(), wire.copy()
    flight = float(INITIAL_WINDOW * SEGMENT_WIRE)
    active = np.flatnonzero(flight < wire)
    while len(active):
        rates = np.minimum(links.rates_at(who[active], time[active]), caps[active])
        active = active[flight < rates * round_trip[active]]
        sent = links.finish_times(who[active], time[active], flight).seconds
        time[active] = np.maximum(time[active] + round_trip[active], sent)
        wire[active] -= flight
        flight *= 2
        active = active[np.isfinite(sent) & (flight < wire[active])]
    return time, wire
