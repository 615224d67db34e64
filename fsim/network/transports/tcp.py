"""TCP: connections that are kept or not, handshakes, windows, losses; and its way over ARQ."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, overload

from pydantic import BeforeValidator
from typing_extensions import override

from fsim.core.quantities import Size
from fsim.network.transports.base import Lossy, Transport
from fsim.network.transports.congestion import CONGESTION
from fsim.network.transports.pace import NEW_CONNECTION, NEW_WINDOW, Opening, Pace
from fsim.network.transports.packet_losses import DrawnLosses, Draws, EvenLosses
from fsim.network.transports.packets import SEGMENT_PAYLOAD, SEGMENT_WIRE, Floats, with_headers


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

LOSSES = ("drawn", "even")

LOST_SYN = 1.0
"""Seconds until the first packet of a connection is sent again."""


@dataclass(frozen=True)
class _Connected(Transport):
    """TCP, whatever becomes of its packets.

    A new connection takes one round trip of handshake, and TLS one (1.3) or two (1.2) more; then
    comes slow start, flights of 10, 20, 40, ... segments of 1448 payload bytes, each waiting a
    round trip for its acknowledgements, until a flight fills the link (capacity x round trip) or
    carries all that is left; then the rest at the link's capacity, headers included (1500 / 1448).
    It is over when the last byte arrives, half a round trip after it was sent. A connection that is
    kept goes on with its window (:mod:`fsim.network.transports.connection`).

    Attributes
    ----------
    congestion
        Congestion control: ``cubic``, ``reno`` or ``bbr``
        (:mod:`fsim.network.transports.congestion`).
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

    has_windows: ClassVar[bool] = True

    congestion: Literal["cubic", "reno", "bbr"] = field(default="cubic", kw_only=True)
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
        for option, allowed in (
            ("congestion", CONGESTION), ("connection", CONNECTIONS), ("tls", HANDSHAKES),
        ):  # fmt: skip
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

    @property
    @override
    def restarts(self) -> bool:
        return CONGESTION[self.congestion].restarts

    def set_up_round_trips(self, reconnects: bool) -> int:
        """Round trips until a new connection, the client's first or not, carries its first byte."""
        return 1 + HANDSHAKES[self.tls][self.resumption if reconnects else "none"]

    @override
    def pace(self, size: int, round_trip: float, opening: Opening = NEW_CONNECTION) -> Pace:
        window, setup, setup_trips = opening.window, 0.0, 0
        if window is None:
            # Who fetches says so when the connection is there; half a round trip later it is known.
            setup_trips = self.set_up_round_trips(opening.reconnects)
            setup = (setup_trips + 0.5 * opening.fetched) * round_trip
            window = NEW_WINDOW
        return Pace(
            with_headers(self.framed(size)),
            setup=setup,
            closing=round_trip / 2,
            flight=window.size,
            share=self.share,
            threshold=window.threshold,
            trips=window.trips,
            control=CONGESTION[self.congestion],
            setup_trips=setup_trips,
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


@dataclass(frozen=True)
class Tcp(Lossy, _Connected):
    """TCP end to end, over a link that loses packets for good if ``loss`` says so.

    What is lost is sent again, and taken for congestion by all but ``bbr``: a window that was
    doubling goes on slowly from then on, a part of what it was. A payload that is short, or lucky,
    meets no loss.

    Attributes
    ----------
    losses
        ``drawn``: each packet by itself, so that transfers of one length differ. ``even``: at their
        mean distance from each other.
    """

    name: ClassVar[str] = "tcp"

    losses: Literal["drawn", "even"] = "drawn"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.losses not in LOSSES:
            allowed = ", ".join(LOSSES)
            raise ValueError(f"losses: found {self.losses!r}, allowed are {allowed}")

    @override
    def draw_losses(self, draws: Draws) -> DrawnLosses | None:
        if not self.loss or self.losses == "even":
            return None
        return DrawnLosses(self.loss, draws)

    @override
    def pace(self, size: int, round_trip: float, opening: Opening = NEW_CONNECTION) -> Pace:
        pace = super().pace(size, round_trip, opening)
        if not self.loss:
            return pace
        losses, packet, setup = opening.losses or EvenLosses(self.loss), 0, pace.setup
        if opening.window is None:
            # The first packet's timer is a second (RFC 6298, section 2), and doubles.
            while losses.loses(packet):
                setup += LOST_SYN * 2**packet
                packet += 1
            packet += 1
        return pace._replace(setup=setup, losses=losses, first=packet)

    @override
    def wire_bytes(self, size: int) -> float:
        return super().wire_bytes(size) / (1 - self.loss)


@dataclass(frozen=True)
class Arq(Lossy, _Connected):
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
    @override
    def share(self) -> float:
        """Those that need not be sent again."""
        return 1 - self.loss
