"""Bytes that a client may send in the time that an upload may take."""

from __future__ import annotations

import math

from fsim.core.errors import TransferNeverEnds
from fsim.fleet import Link
from fsim.network import Capacity, Transport
from fsim.network.transports.pace import INITIAL_FLIGHT


def bytes_within(seconds: float, link: Link, transport: Transport, promotion: float = 0.0) -> int:
    """Bytes of payload whose upload takes at most some seconds, as far as the client can know.

    It knows its link's mean capacity and round-trip time, not what the link will do next nor who
    else will be on the way; and that a connection which is kept has been idle while it trained.

    Parameters
    ----------
    seconds
        From asking for the transfer until it is over.
    link, transport
        The client's link, and the transport over it.
    promotion
        Seconds of them in which the client's radio wakes up.

    Returns
    -------
    int
        0 where the time is too short for a single byte.
    """
    expected = Capacity.constant(link.capacity.mean)
    opening = transport.opening(INITIAL_FLIGHT)._replace(promotion=promotion)

    def fits(size: int) -> bool:
        try:
            return transport.finish_time(expected, size, 0.0, link.round_trip, opening) <= seconds
        except TransferNeverEnds:
            return False

    # What fits lies in [low, high): no transport is faster than its link.
    low, high = 0, math.ceil(seconds * link.capacity.mean) + 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
