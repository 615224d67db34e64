"""Transports: what a payload costs on top of, or instead of, its size over the capacity.

Loss belongs here, for it means nothing without a transport: the same 20% of packets lost take a
fifth of a link that retransmits by itself, nearly all of a TCP connection's speed, or a fifth of
the payload. See ``docs/transports.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.core.registry import Registry
from fsim.network.transports.base import Lossy, Transport
from fsim.network.transports.pace import NEW_CONNECTION, Opening, Pace
from fsim.network.transports.packets import DATAGRAM_PAYLOAD, PACKET, packets
from fsim.network.transports.tcp import Arq, Tcp


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
class Datagram(Lossy):
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
    "transport", Transport, "fsim.network.Transport", (Tcp, Fluid, Arq, Datagram)
)
"""Name in a scenario -> transport, its fields being its options."""


def make_transport(name: str, options: Mapping[str, Any]) -> Transport:
    """A transport by name; see :func:`fsim.core.registry.choose` for what is raised."""
    return TRANSPORTS.make(name, options)
