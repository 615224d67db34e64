"""Transports: what a payload costs on top of, or instead of, its size over the capacity.

Loss belongs here, for it means nothing without a transport: the same 20% of packets lost take a
fifth of a link that retransmits by itself, nearly all of a TCP connection's speed, or a fifth of
the payload. See ``docs/transports.md``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict
from typing_extensions import override

from fsim.core.registry import Registry
from fsim.network.links.capacity import Capacity
from fsim.network.transports.congestion import FORMULAS
from fsim.network.transports.packets import (
    DATAGRAM_PAYLOAD,
    PACKET,
    SEGMENT_PAYLOAD,
    SEGMENT_WIRE,
    Floats,
    packets,
    with_headers,
)
from fsim.network.transports.slow_start import slow_start


@dataclass(frozen=True)
class Opening:
    """A connection's way until all that is left to do is to send as fast as the link allows.

    Attributes
    ----------
    time
        Seconds, when that is.
    wire
        Bytes on the wire that are left then.
    total
        Bytes on the wire of the whole payload.
    link
        What the client's own link leaves for them.
    closing
        Seconds from the last byte to the transfer's end.
    """

    time: float
    wire: float
    total: float
    link: Capacity
    closing: float

    @property
    def finish(self) -> float:
        """End of the transfer if nobody shares the way, seconds."""
        return self.link.finish_time(self.time, self.wire) + self.closing


class Transport(ABC):
    """Base class of transports: bytes on one link, and the time that they take."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: ClassVar[str]

    loses_packets: ClassVar[bool] = False
    """Whether parts of a payload may never arrive."""

    @abstractmethod
    def opening(self, capacity: Capacity, size: int, start: float, round_trip: float) -> Opening:
        """State as the payload begins to stream; parameters of :meth:`Transport.finish_time`."""

    def finish_time(self, capacity: Capacity, size: int, start: float, round_trip: float) -> float:
        """Time at which the transfer is over: the sender knows that all bytes have arrived.

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
        TraceError
            The link's trace ends first, and does not say what follows.
        """
        return self.opening(capacity, size, start, round_trip).finish

    @abstractmethod
    def sent_by(
        self, capacity: Capacity, size: int, start: float, until: float, round_trip: float
    ) -> int:
        """Whole payload bytes that have been put on the link before ``until`` (seconds, finite)."""

    @abstractmethod
    def wire_bytes(self, size: int) -> float:
        """Bytes that the link carries for a payload."""

    def lost(self, size: int, rng: np.random.Generator) -> npt.NDArray[np.bool_] | None:
        """Draw the packets of a payload that never arrive, shape (packets,).

        The i-th holds what lies from ``i * DATAGRAM_PAYLOAD`` on. None for a transport that
        delivers everything, which draws nothing.
        """
        return None


@dataclass(frozen=True)
class Fluid(Transport):
    """Payload over capacity and nothing else: no headers, no start-up, no latency.

    What most simulators bill. It understates the time of a small payload several times over.
    """

    name: ClassVar[str] = "fluid"

    @override
    def opening(self, capacity: Capacity, size: int, start: float, round_trip: float) -> Opening:
        return Opening(start, float(size), float(size), capacity, 0.0)

    @override
    def sent_by(
        self, capacity: Capacity, size: int, start: float, until: float, round_trip: float
    ) -> int:
        if until <= start:
            return 0
        return math.floor(min(float(size), capacity.bytes_between(start, until)))

    @override
    def wire_bytes(self, size: int) -> float:
        return float(size)


@dataclass(frozen=True)
class Tcp(Transport):
    """One TCP connection for each transfer, without loss.

    One round trip of handshake; then slow start, flights of 10, 20, 40, ... segments of 1448
    payload bytes, each waiting a round trip for its acknowledgements, until a flight fills the
    link (capacity x round trip) or carries all that is left; then the rest at the link's capacity,
    headers included (1500 / 1448); and a last round trip until the sender knows.
    """

    name: ClassVar[str] = "tcp"

    @override
    def opening(self, capacity: Capacity, size: int, start: float, round_trip: float) -> Opening:
        share, cap = self.share, float(self.cap(round_trip))
        link = capacity if share == 1 else capacity.scaled(share)
        wire = with_headers(size)
        time, remaining, _ = slow_start(link, cap, wire, start + round_trip, round_trip)
        return Opening(time, remaining, wire, link.capped(cap), round_trip)

    @override
    def sent_by(
        self, capacity: Capacity, size: int, start: float, until: float, round_trip: float
    ) -> int:
        if until <= start + round_trip:
            return 0
        cap, link = float(self.cap(round_trip)), capacity.scaled(self.share)
        wire = with_headers(size)
        time, remaining, flight = slow_start(link, cap, wire, start + round_trip, round_trip, until)
        if math.isinf(flight):
            link = link.capped(cap)
        streamed = min(flight, link.bytes_between(time, until))
        if streamed >= remaining:
            return size
        return math.floor((wire - remaining + streamed) * SEGMENT_PAYLOAD / SEGMENT_WIRE)

    @override
    def wire_bytes(self, size: int) -> float:
        return with_headers(size)

    @property
    def share(self) -> float:
        """The part of the link's capacity that is there for packets that arrive."""
        return 1.0

    def cap(self, round_trip: float | Floats) -> float | Floats:
        """Bytes/s that the connection does not exceed once it is past slow start."""
        return math.inf


@dataclass(frozen=True)
class _Lossy(Transport):
    """A transport whose packets get lost.

    Attributes
    ----------
    loss
        Probability that a packet is lost, each by itself, in [0, 1).
    """

    loss: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.loss < 1:
            raise ValueError(
                f"loss: found {self.loss}, allowed is a probability of 0 or more, less than 1"
            )


@dataclass(frozen=True)
class Arq(_Lossy, Tcp):
    """TCP over a link that sends again, by itself, whatever gets lost on it.

    As cellular and Wi-Fi links do: TCP sees no loss, but a capacity of (1 - loss) of the link's,
    each packet being sent 1 / (1 - loss) times on average. The few milliseconds that a packet waits
    for being sent again are left out.
    """

    name: ClassVar[str] = "arq"

    @override
    def wire_bytes(self, size: int) -> float:
        return super().wire_bytes(size) / (1 - self.loss)

    @property
    def share(self) -> float:
        """Those that need not be sent again."""
        return 1 - self.loss


@dataclass(frozen=True)
class Reno(_Lossy, Tcp):
    """TCP Reno end to end over a link that loses packets for good.

    Slow start is that of :class:`Tcp`, ending where a flight would exceed what congestion avoidance
    keeps up; from then on the rate is the lesser of the capacity and a formula for congestion
    avoidance (:mod:`fsim.network.transports.congestion`). A connection has the formula's rate on
    average, not in every round trip.

    Attributes
    ----------
    formula
        ``"mathis"`` or ``"pftk"``; the latter knows of timeouts, and is slower.
    """

    formula: str = "mathis"

    name: ClassVar[str] = "reno"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.formula not in FORMULAS:
            raise ValueError(f"formula: found {self.formula!r}, allowed are {', '.join(FORMULAS)}")

    @override
    def wire_bytes(self, size: int) -> float:
        return super().wire_bytes(size) / (1 - self.loss)

    def cap(self, round_trip: float | Floats) -> float | Floats:
        """Rate that congestion avoidance keeps up, bytes/s, headers included."""
        goodput: float | Floats = FORMULAS[self.formula](SEGMENT_PAYLOAD, self.loss, round_trip)
        return goodput * SEGMENT_WIRE / SEGMENT_PAYLOAD


@dataclass(frozen=True)
class Datagram(_Lossy):
    """UDP datagrams at the pace of the link, sent once, with nothing sent again.

    No handshake and no acknowledgements: it is over when the last packet has been sent and half a
    round trip has passed. Which packets arrive is drawn, and the receiver has to cope.
    """

    name: ClassVar[str] = "datagram"
    loses_packets: ClassVar[bool] = True

    @override
    def opening(self, capacity: Capacity, size: int, start: float, round_trip: float) -> Opening:
        """Over when the last packet has, or would have, arrived."""
        wire = self.wire_bytes(size)
        return Opening(start, wire, wire, capacity, round_trip / 2)

    @override
    def sent_by(
        self, capacity: Capacity, size: int, start: float, until: float, round_trip: float
    ) -> int:
        """A packet counts once all of it has been sent."""
        if until <= start:
            return 0
        sent_bytes = capacity.bytes_between(start, until)
        if sent_bytes >= self.wire_bytes(size):
            return size
        return min(size, math.floor(sent_bytes / PACKET) * DATAGRAM_PAYLOAD)

    @override
    def wire_bytes(self, size: int) -> float:
        return float(size + packets(size) * (PACKET - DATAGRAM_PAYLOAD))

    @override
    def lost(self, size: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
        """One uniform number a packet is drawn, whatever the loss."""
        return rng.random(packets(size)) < self.loss


TRANSPORTS: Registry[Transport] = Registry(
    "transport", Transport, "fsim.network.Transport", (Tcp, Fluid, Arq, Reno, Datagram)
)
"""Name in a scenario -> transport, its fields being its options."""


def make_transport(name: str, options: Mapping[str, Any]) -> Transport:
    """A transport by name; see :func:`fsim.core.registry.choose` for what is raised."""
    return TRANSPORTS.make(name, options)
