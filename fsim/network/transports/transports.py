"""Transports: what a payload costs on top of, or instead of, its size over the capacity.

Loss belongs here, for it means nothing without a transport: the same 20% of packets lost take a
fifth of a link that retransmits by itself, nearly all of a TCP connection's speed, or a fifth of
the payload. See ``docs/transports.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, overload

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator
from typing_extensions import override

from fsim.core.quantities import Size
from fsim.core.registry import Registry
from fsim.network.transports.base import Transport
from fsim.network.transports.congestion import FORMULAS
from fsim.network.transports.pace import INITIAL_FLIGHT, NEW_CONNECTION, Opening, Pace
from fsim.network.transports.packets import (
    DATAGRAM_PAYLOAD,
    PACKET,
    SEGMENT_PAYLOAD,
    SEGMENT_WIRE,
    Floats,
    packets,
    with_headers,
)


def _version(value: object) -> object:
    return str(value) if isinstance(value, float) else value


Tls = Annotated[Literal["none", "1.3", "1.2"], BeforeValidator(_version)]
"""A version of TLS, in YAML a number."""

CONNECTIONS = ("persistent", "fresh")

HANDSHAKES = {
    "none": {"none": 0},
    "1.3": {"none": 1, "session": 1, "0-rtt": 0},
    "1.2": {"none": 2, "session": 1},
}
"""Version of TLS -> what is resumed -> round trips of its handshake (RFC 8446, section 2; RFC 5246,
section 7.3)."""


@dataclass(frozen=True)
class Fluid(Transport):
    """Payload over capacity and nothing else: no headers, no start-up, no latency.

    What most simulators bill. It understates the time of a small payload several times over.
    """

    name: ClassVar[str] = "fluid"

    @override
    def pace(self, size: int, round_trip: float, opening: Opening = NEW_CONNECTION) -> Pace:
        return Pace(float(size))

    @override
    def payload(self, wire: float) -> int:
        return math.floor(wire)

    @override
    def wire_bytes(self, size: int) -> float:
        return float(size)


@dataclass(frozen=True)
class Tcp(Transport):
    """TCP, without loss.

    A new connection takes one round trip of handshake, and TLS one (1.3) or two (1.2) more; then
    comes slow start, flights of 10, 20, 40, ... segments of 1448 payload bytes, each waiting a
    round trip for its acknowledgements, until a flight fills the link (capacity x round trip) or
    carries all that is left; then the rest at the link's capacity, headers included (1500 / 1448).
    It is over when the last byte arrives, half a round trip after it was sent. A connection that is
    kept goes on with its window (:mod:`fsim.network.transports.connection`).

    Attributes
    ----------
    connection
        ``persistent``: a client holds one connection for all its transfers, up and down, as gRPC
        and Flower do; one that was away opens a new one. ``fresh``: each transfer has its own.
    tls
        ``none``, ``1.3`` or ``1.2``: round trips of a handshake before a new connection's first
        byte.
    resumption
        The part of a handshake that a client saves which was connected before. ``none``;
        ``session``: TLS 1.2 takes one round trip in place of two, 1.3 one as ever; ``0-rtt``, of
        1.3 alone: none.
    framing
        Bytes that the application puts around a payload; Flower's gRPC some 450 B on the way up.
    framing_factor
        How many times as long as it is a payload goes out; in base64 4/3.
    """

    name: ClassVar[str] = "tcp"

    connection: Literal["persistent", "fresh"] = field(default="persistent", kw_only=True)
    tls: Tls = field(default="none", kw_only=True)
    resumption: Literal["none", "session", "0-rtt"] = field(default="none", kw_only=True)

    framing: Size = field(default=0.0, kw_only=True)
    framing_factor: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.framing < math.inf:
            raise ValueError(f"framing: found {self.framing:g} B, allowed is 0 B or more")
        if not 1 <= self.framing_factor <= 100:
            raise ValueError(f"framing_factor: found {self.framing_factor}, allowed is 1 to 100")
        for option, allowed in (("connection", CONNECTIONS), ("tls", HANDSHAKES)):
            if (value := getattr(self, option)) not in allowed:
                raise ValueError(f"{option}: found {value!r}, allowed are {', '.join(allowed)}")
        if self.resumption not in (handshakes := HANDSHAKES[self.tls]):
            raise ValueError(
                f"resumption: found {self.resumption!r} and tls: {self.tls}, allowed are "
                f"{', '.join(handshakes)}"
            )

    @property
    @override
    def keeps_connections(self) -> bool:
        return self.connection == "persistent"

    def set_up_round_trips(self, reconnects: bool) -> int:
        """Round trips until a new connection, the client's first or not, carries its first byte."""
        return 1 + HANDSHAKES[self.tls][self.resumption if reconnects else "none"]

    @override
    def pace(self, size: int, round_trip: float, opening: Opening = NEW_CONNECTION) -> Pace:
        window, setup = opening.window, 0.0
        if window is None:
            # Who fetches says so when the connection is there; half a round trip later it is known.
            setup = (
                self.set_up_round_trips(opening.reconnects) + 0.5 * opening.fetched
            ) * round_trip
        return Pace(
            with_headers(self.framed(size)),
            setup=setup,
            closing=round_trip / 2,
            flight=INITIAL_FLIGHT if window is None else window,
            cap=float(self.cap(round_trip)),
            share=self.share,
        )

    @override
    def payload(self, wire: float) -> int:
        framed = wire * SEGMENT_PAYLOAD / SEGMENT_WIRE
        return max(0, math.floor((framed - self.framing) / self.framing_factor))

    @override
    def wire_bytes(self, size: int) -> float:
        return with_headers(self.framed(size))

    @overload
    def framed(self, size: float) -> float: ...

    @overload
    def framed(self, size: Floats) -> Floats: ...

    def framed(self, size: float | Floats) -> float | Floats:
        """Bytes that the connection carries for a payload."""
        return size * self.framing_factor + self.framing

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
        super().__post_init__()
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
    def pace(self, size: int, round_trip: float, opening: Opening = NEW_CONNECTION) -> Pace:
        """Over when the last packet has, or would have, arrived."""
        return Pace(self.wire_bytes(size), closing=round_trip / 2)

    @override
    def payload(self, wire: float) -> int:
        """A packet counts once all of it has been sent."""
        return math.floor(wire / PACKET) * DATAGRAM_PAYLOAD

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
