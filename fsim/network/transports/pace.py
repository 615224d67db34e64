"""The pace of a transfer: all that a transport says of it, whatever the capacity of its way."""

from __future__ import annotations

import math
from typing import NamedTuple

from fsim.network.links.capacity import Capacity
from fsim.network.transports.congestion import Congestion, Cubic
from fsim.network.transports.packet_losses import DrawnLosses, Losses
from fsim.network.transports.packets import SEGMENT_WIRE

INITIAL_FLIGHT = 10.0 * SEGMENT_WIRE
"""Bytes on the wire of a connection's first flight: 10 segments (RFC 6928)."""


class Window(NamedTuple):
    """A congestion window.

    Attributes
    ----------
    size
        Bytes on the wire that may be sent at once.
    threshold
        The size from which on it no longer doubles with each round trip; ``inf`` if nothing was
        ever lost.
    trips
        Round trips that its sender has timed.
    """

    size: float
    threshold: float = math.inf
    trips: int = 1


NEW_WINDOW = Window(INITIAL_FLIGHT)
"""That of a new connection, whose handshake was timed."""


class Opening(NamedTuple):
    """The state of a connection as a transfer begins.

    Attributes
    ----------
    window
        What its sender may send; None if there is no connection yet.
    fetched
        Whether it is the receiver who has to connect then, and to ask for the payload.
    reconnects
        Whether both ends have been connected before.
    losses
        The packets that are lost, where the transport loses any; None if they are not drawn.
    promotion
        Seconds before all else, in which the client's radio wakes up.
    """

    window: Window | None = None
    fetched: bool = False
    reconnects: bool = False
    losses: DrawnLosses | None = None
    promotion: float = 0.0

    def anew(self) -> Opening:
        """That of the connection which takes the place of this one when it is broken."""
        losses = None if self.losses is None else self.losses.of_another()
        return self._replace(window=None, losses=losses)


NEW_CONNECTION = Opening()
"""Whoever sends has to connect."""


class Pace(NamedTuple):
    """The pace of a transfer.

    It waits for ``setup``; then come flights, each twice the one before and each waiting a round
    trip for its acknowledgements, until one fills the way or carries all that is left; then the
    rest as fast as the way allows; and ``closing`` after the last byte it is over. What is lost is
    sent again in a later flight, and the flights change with it
    (:class:`fsim.network.transports.sender.Sender`).

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
    share
        The part of the client's own link that is there for packets that arrive.
    threshold
        Flights of more bytes do not double.
    trips
        Round trips that were timed before.
    control
        The congestion control.
    losses
        The packets that are lost; None for none.
    first
        Number, among these packets, of the payload's first one.
    setup_trips
        Round trips among ``setup``, each of which waits for what waits on its way.
    """

    wire: float
    setup: float = 0.0
    closing: float = 0.0
    flight: float = math.inf
    share: float = 1.0
    threshold: float = math.inf
    trips: int = 1
    control: type[Congestion] = Cubic
    losses: Losses | None = None
    first: int = 0
    setup_trips: int = 0

    def link(self, capacity: Capacity) -> Capacity:
        """The capacity that the client's own link has for the flights."""
        return capacity if self.share == 1 else capacity.scaled(self.share)
