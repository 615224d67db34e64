"""The base of transports: a pace, and what a link of one's own makes of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from fsim.network.links.capacity import Capacity
from fsim.network.transports.growth import streamed
from fsim.network.transports.pace import NEW_CONNECTION, Opening, Pace, Window
from fsim.network.transports.packet_losses import DrawnLosses, Draws
from fsim.network.transports.sender import Sender, send_flights


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

    has_windows: ClassVar[bool] = False
    """Whether its senders have windows, which grow into a queue until it is full."""

    def __post_init__(self) -> None:  # noqa: B027 (most have nothing to refuse)
        """Refuse options that are not allowed, by ValueError."""

    @property
    def keeps_connections(self) -> bool:
        """True if a connection is kept from one transfer to the next."""
        return False

    @property
    def restarts(self) -> bool:
        """True if the window of a connection that idles goes back to that of a new one."""
        return True

    def opening(self, window: float) -> Opening:
        """State of a connection that is kept with a window, bytes; a new one where none is kept."""
        return Opening(Window(window)) if self.keeps_connections else NEW_CONNECTION

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
    ) -> tuple[float, Window]:
        """Time at which the receiver has all bytes, seconds, and the sender's window then.

        Parameters and errors are those of :meth:`finish_time`.
        """
        link, sender = pace.link(capacity), Sender(pace, round_trip)
        time, _ = send_flights(link, sender, start + pace.setup, round_trip)
        finish, _ = streamed(link, time, sender.rest, round_trip, sender.window)
        return finish + pace.closing, sender.final_window()

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

        Those of packets that were lost count when they are sent again. The other parameters are
        those of :meth:`finish_time`.
        """
        pace = self.whole_pace(size, round_trip, opening)
        if until <= start + pace.setup:
            return 0
        link, sender = pace.link(capacity), Sender(pace, round_trip)
        time, limit = send_flights(link, sender, start + pace.setup, round_trip, until)
        if until <= time:
            passed = 0.0
        elif math.isinf(limit):
            _, rest = streamed(link, time, sender.rest, round_trip, sender.window, until)
            passed = sender.rest - rest
        else:
            passed = min(limit, link.bytes_between(time, until))
        if passed >= sender.rest:
            return size
        return min(size, self.payload(pace.wire - sender.rest + passed))

    def draw_losses(self, draws: Draws) -> DrawnLosses | None:
        """Draw the packets of a connection that are lost on the way and sent again.

        Parameters
        ----------
        draws
            Streams of random numbers of the transfer's own.

        Returns
        -------
        DrawnLosses or None
            None for a transport that draws none.
        """
        return None

    def lost(self, size: int, rng: np.random.Generator) -> npt.NDArray[np.bool_] | None:
        """Draw the packets of a payload that never arrive, shape (packets,).

        The i-th holds what lies from ``i * DATAGRAM_PAYLOAD`` on. None for a transport that
        delivers everything, which draws nothing.
        """
        return None


@dataclass(frozen=True)
class Lossy(Transport):
    """A transport whose packets get lost.

    Attributes
    ----------
    loss
        Probability that a packet is lost, each by itself, in [0, 1).
    """

    loss: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.loss < 1:
            raise ValueError(
                f"loss: found {self.loss}, allowed is a probability of 0 or more, less than 1"
            )
