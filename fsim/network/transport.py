"""Transports: what a payload costs on top of, or instead of, its size over the capacity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from fsim.network.capacity import Capacity

SEGMENT_PAYLOAD = 1448
"""Bytes of payload in a full segment: 1500-byte packets, IPv4, TCP timestamps."""

SEGMENT_WIRE = 1500
"""Bytes that such a segment takes on the link."""

INITIAL_WINDOW = 10
"""Segments in the first flight of a connection (RFC 6928)."""


class Transport(Protocol):
    """How bytes travel over one link."""

    def finish_time(self, capacity: Capacity, size: int, start: float, round_trip: float) -> float:
        """When the sender knows that all bytes have arrived.

        Parameters
        ----------
        capacity
            The link, its rates in bytes/s.
        size
            Payload bytes.
        start
            Seconds, when the transfer is asked for.
        round_trip
            Seconds of round-trip time without queueing.

        Raises
        ------
        TransferNeverEnds
            The link stays at zero capacity before the payload is through.
        """
        ...


@dataclass(frozen=True)
class Fluid:
    """Payload over capacity and nothing else: no headers, no start-up, no latency.

    What most simulators bill. It understates the time of a small payload several times over.
    """

    name: ClassVar[str] = "fluid"

    def finish_time(self, capacity: Capacity, size: int, start: float, round_trip: float) -> float:
        """See :class:`Transport`."""
        return capacity.finish_time(start, size)


@dataclass(frozen=True)
class Tcp:
    """One TCP connection for each transfer, without loss.

    One round trip of handshake; then slow start, flights of 10, 20, 40, ... segments of 1448
    payload bytes, each waiting a round trip for its acknowledgements, until a flight fills the
    link (capacity x round trip) or carries all that is left; then the rest at the link's capacity,
    headers included (1500 / 1448); and a last round trip until the sender knows.
    """

    name: ClassVar[str] = "tcp"

    def finish_time(self, capacity: Capacity, size: int, start: float, round_trip: float) -> float:
        """See :class:`Transport`."""
        remaining = size * SEGMENT_WIRE / SEGMENT_PAYLOAD
        flight = float(INITIAL_WINDOW * SEGMENT_WIRE)
        time = start + round_trip
        while flight < remaining and flight < capacity.rate_at(time) * round_trip:
            # A capacity that falls within the round trip can hold the flight up for longer.
            time = max(time + round_trip, capacity.finish_time(time, flight))
            remaining -= flight
            flight *= 2
        return capacity.finish_time(time, remaining) + round_trip


TRANSPORTS: dict[str, Transport] = {"tcp": Tcp(), "fluid": Fluid()}
