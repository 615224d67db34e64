"""An encoded update on its way: in one piece, or in packets of which some may be lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fsim.compression import EncodingContext, Policy
from fsim.compression.fragments import decode_fragments, encode_fragments
from fsim.compression.wire import breakdown, decode_varint, encode_varint
from fsim.errors import PayloadError
from fsim.network import Datagram, Transport
from fsim.network.packets import DATAGRAM_PAYLOAD
from fsim.vocabulary import Layout, Update


def joined_length(first: int, second: int) -> int:
    """Bytes of two payloads in one message: the first one's length as a varint, then both."""
    return len(encode_varint(first)) + first + second


def join(first: bytes, second: bytes) -> bytes:
    """Two payloads in one message (:func:`joined_length`)."""
    return encode_varint(len(first)) + first + second


def part(message: bytes) -> tuple[bytes, bytes]:
    """The inverse of :func:`join`.

    Raises
    ------
    PayloadError
        The message is shorter than it says.
    """
    length, at = decode_varint(message, 0)
    if at + length > len(message):
        raise PayloadError("the message ends within its first payload")
    return message[at : at + length], message[at + length :]


@dataclass(frozen=True)
class Parcel:
    """What a policy made of an update, as its transport wants it.

    Attributes
    ----------
    pieces
        The payload, or its packets in the order of sending, None for one that was lost.
    in_packets
        Whether the update was encoded so that it can be read with packets missing.
    controlled
        Whether a client's change of its control variate comes with it, in one message.
    """

    pieces: tuple[bytes | None, ...]
    in_packets: bool
    controlled: bool = False

    @classmethod
    def of(
        cls, update: Update, policy: Policy, context: EncodingContext, transport: Transport
    ) -> Parcel:
        """Encode an update: in fragments where the transport may lose packets."""
        if isinstance(transport, Datagram):
            return cls(tuple(encode_fragments(policy, update, context, DATAGRAM_PAYLOAD)), True)
        return cls((policy.encode(update, context),), False)

    def with_control(self, control: bytes) -> Parcel:
        """The update, and with it the serialised change of a control variate.

        Raises
        ------
        ValueError
            The update is in packets, of which any may be lost.
        """
        return replace(self, pieces=(join(self._whole(), control),), controlled=True)

    @property
    def size(self) -> int:
        """Bytes of payload that there are."""
        return sum(len(piece) for piece in self.pieces if piece is not None)

    def breakdown(self) -> dict[str, int]:
        """Bytes by what they are for, of a payload in one piece; empty for one in packets."""
        if self.in_packets:
            return {}
        payload = self._whole()
        if not self.controlled:
            return breakdown(payload)
        update, control = part(payload)
        parts = breakdown(update)
        parts["header"] += len(payload) - len(update) - len(control)
        return {**parts, "control": len(control)}

    def lossy(self, lost: npt.NDArray[np.bool_] | None) -> Parcel:
        """What is left of it without the packets that are lost, shape (packets,); None for none."""
        if lost is None or not self.in_packets:
            return self
        pieces = (None if gone else piece for piece, gone in zip(self.pieces, lost, strict=True))
        return replace(self, pieces=tuple(pieces))

    def changed(self, change: Callable[[bytes], bytes]) -> Parcel:
        """The parcel with its first piece that is there changed on the way."""
        pieces = list(self.pieces)
        for at, piece in enumerate(pieces):
            if piece is not None:
                pieces[at] = change(piece)
                break
        return replace(self, pieces=tuple(pieces))

    def decode(self, policy: Policy, layout: Layout) -> Update:
        """The update as the server makes it of what there is."""
        if self.in_packets:
            return decode_fragments(policy, self.pieces, layout)
        payload = self._whole()
        return policy.decode(part(payload)[0] if self.controlled else payload, layout)

    def control(self) -> bytes:
        """The serialised change of a control variate."""
        if not self.controlled:
            raise ValueError("there is no control variate in this parcel")
        return part(self._whole())[1]

    def _whole(self) -> bytes:
        if self.in_packets or len(self.pieces) != 1 or self.pieces[0] is None:
            raise ValueError("found an update in packets, allowed is one in one piece")
        return self.pieces[0]
