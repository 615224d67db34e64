"""An encoded update on its way: in one piece, or in packets of which some may be lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fsim.compression import EncodingContext, Policy
from fsim.compression.fragments import decode_fragments, encode_fragments
from fsim.compression.wire import breakdown, decode_varint, encode_varint
from fsim.errors import PayloadError
from fsim.network import Datagram, Transport
from fsim.network.packets import DATAGRAM_PAYLOAD
from fsim.recent import Recent
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
    policy, layout
        By which the server reads it.
    pieces
        The payload, or its packets in the order of sending, None for one that was lost.
    in_packets
        Whether the update was encoded so that it can be read with packets missing.
    controlled
        Whether a client's change of its control variate comes with it, in one message.
    """

    policy: Policy
    layout: Layout
    pieces: tuple[bytes | None, ...]
    in_packets: bool
    controlled: bool = False

    @classmethod
    def of(
        cls, update: Update, policy: Policy, context: EncodingContext, transport: Transport
    ) -> Parcel:
        """Encode an update: in fragments where the transport may lose packets."""
        layout = Layout.of(update)
        if isinstance(transport, Datagram):
            fragments = encode_fragments(policy, update, context, DATAGRAM_PAYLOAD)
            return cls(policy, layout, tuple(fragments), True)
        return cls(policy, layout, (policy.encode(update, context),), False)

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
        """The parcel with its first piece that is there changed on the way; itself if it is not."""
        for at, piece in enumerate(self.pieces):
            if piece is not None:
                other = change(piece)
                if other == piece:
                    break
                return replace(self, pieces=(*self.pieces[:at], other, *self.pieces[at + 1 :]))
        return self

    @cached_property
    def decoded(self) -> Update:
        """The update as the server makes it of what there is, for reading alone.

        Raises
        ------
        PayloadError
            It is not a payload of its policy and layout any more.
        """
        if self.in_packets:
            update = decode_fragments(self.policy, self.pieces, self.layout)
        else:
            payload = self._whole()
            own = part(payload)[0] if self.controlled else payload
            update = self.policy.decode(own, self.layout)
        for array in update.values():
            array.flags.writeable = False
        return update

    def control(self) -> bytes:
        """The serialised change of a control variate."""
        if not self.controlled:
            raise ValueError("there is no control variate in this parcel")
        return part(self._whole())[1]

    def _whole(self) -> bytes:
        if self.in_packets or len(self.pieces) != 1 or self.pieces[0] is None:
            raise ValueError("found an update in packets, allowed is one in one piece")
        return self.pieces[0]


class Parcels:
    """Encodes updates, and knows again what it has encoded lately.

    Runs that differ in what cannot change learning send the same payloads.

    Parameters
    ----------
    policy, transport
        Of the run.
    recent
        Where parcels are kept.
    """

    def __init__(self, policy: Policy, transport: Transport, recent: Recent) -> None:
        self.policy, self._transport, self._recent = policy, transport, recent
        self._key = (type(policy), repr(policy), isinstance(transport, Datagram))

    def of(self, update: Update, context: EncodingContext, origin: str) -> Parcel:
        """An update's parcel.

        Parameters
        ----------
        origin
            What its training is stored under; empty if it is not. What a client's memory has a part
            in is encoded every time.
        """
        if not origin or context.memory:
            return Parcel.of(update, self.policy, context, self._transport)
        # A client's streams are its context's seed's: both are of a run, a client and a round.
        key = (*self._key, origin, context.seed, context.round_number, context.budget)
        known: Parcel | None = self._recent.get(key)
        if known is not None:
            return known
        parcel = Parcel.of(update, self.policy, context, self._transport)
        if not context.memory:
            self._recent.put(key, parcel, parcel.size + 4 * parcel.layout.size)
        return parcel
