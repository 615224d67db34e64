"""The base of transports: a pace, and what a link of one's own makes of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from fsim.network.links.capacity import Capacity
from fsim.network.transports.pace import NEW_CONNECTION, Opening, Pace
from fsim.network.transports.slow_start import slow_start


class Transport(ABC):
    """Base class of transports: bytes on one link, and the time that they take.

    A transport says its :class:`~fsim.network.transports.pace.Pace`; what a link makes of it
    follows here in closed form, and on links that are shared in
    :mod:`fsim.simulation.transfer`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: ClassVar[str]

    loses_packets: ClassVar[bool] = False
    """Whether parts of a payload may never arrive."""

    def __post_init__(self) -> None:  # noqa: B027 (most have nothing to refuse)
        """Refuse options that are not allowed, by ValueError."""

    @property
    def keeps_connections(self) -> bool:
        """True if a connection is kept from one transfer to the next."""
        return False

    def opening(self, window: float) -> Opening:
        """State of a connection that is kept with a window, bytes; a new one where none is kept."""
        return Opening(window) if self.keeps_connections else NEW_CONNECTION

    @abstractmethod
    def pace(self, size: int, round_trip: float, opening: Opening = NEW_CONNECTION) -> Pace:
        """The pace of a transfer.

        Parameters
        ----------
        size
            Payload bytes.
        round_trip
            Seconds of round-trip time without queueing.
        opening
            The state of the connection that it finds.
        """

    def whole_pace(self, size: int, round_trip: float, opening: Opening) -> Pace:
        """The pace with the promotion of the client's radio before it; parameters as there."""
        pace = self.pace(size, round_trip, opening)
        return pace._replace(setup=opening.promotion + pace.setup) if opening.promotion else pace

    @abstractmethod
    def payload(self, wire: float) -> int:
        """Whole payload bytes in the first ``wire`` bytes that are put on the link."""

    @abstractmethod
    def wire_bytes(self, size: int) -> float:
        """Bytes that the link carries for a payload."""

    def finish_time(
        self,
        capacity: Capacity,
        size: int,
        start: float,
        round_trip: float,
        opening: Opening = NEW_CONNECTION,
    ) -> float:
        """Time at which the receiver has all bytes, seconds.

        Parameters
        ----------
        capacity
            The link, its rates in bytes/s.
        start
            Seconds, when the transfer is begun.
        size, round_trip, opening
            As for :meth:`pace`.

        Raises
        ------
        TransferNeverEnds
            The link stays at zero capacity before the payload is through.
        TraceError
            The link's trace ends first, and does not say what follows.
        """
        pace = self.whole_pace(size, round_trip, opening)
        return self.end(capacity, pace, start, round_trip)[0]

    def end(
        self, capacity: Capacity, pace: Pace, start: float, round_trip: float
    ) -> tuple[float, float]:
        """Time at which the receiver has all bytes, seconds, and the sender's window then, bytes.

        Parameters and errors are those of :meth:`finish_time`.
        """
        link = pace.link(capacity)
        time, rest, flight, _ = slow_start(link, pace, start + pace.setup, round_trip)
        finish = link.capped(pace.cap).finish_time(time, rest) + pace.closing
        return finish, pace.window(flight, rest, round_trip)

    def sent_by(
        self,
        capacity: Capacity,
        size: int,
        start: float,
        until: float,
        round_trip: float,
        opening: Opening = NEW_CONNECTION,
    ) -> int:
        """Whole payload bytes that have been put on the link before ``until`` (seconds, finite).

        The other parameters are those of :meth:`finish_time`.
        """
        pace = self.whole_pace(size, round_trip, opening)
        if until <= start + pace.setup:
            return 0
        link = pace.link(capacity)
        time, rest, _, limit = slow_start(link, pace, start + pace.setup, round_trip, until)
        if math.isinf(limit):
            link = link.capped(pace.cap)
        streamed = min(limit, link.bytes_between(time, until))
        if streamed >= rest:
            return size
        return min(size, self.payload(pace.wire - rest + streamed))

    def lost(self, size: int, rng: np.random.Generator) -> npt.NDArray[np.bool_] | None:
        """Draw the packets of a payload that never arrive, shape (packets,).

        The i-th holds what lies from ``i * DATAGRAM_PAYLOAD`` on. None for a transport that
        delivers everything, which draws nothing.
        """
        return None
