"""An encoded update on its way: in one piece, or in packets of which some may be lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fsim.compression import EncodingContext, Policy
from fsim.compression.fragments import decode_fragments, encode_fragments
from fsim.compression.wire import breakdown
from fsim.network import Datagram, Transport
from fsim.network.packets import DATAGRAM_PAYLOAD
from fsim.recent import Recent
from fsim.vocabulary import Layout, Update
from fsim.world.encoding_memory import EncodingMemory


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
    """

    policy: Policy
    layout: Layout
    pieces: tuple[bytes | None, ...]
    in_packets: bool

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

    @property
    def size(self) -> int:
        """Bytes of payload that there are."""
        return sum(len(piece) for piece in self.pieces if piece is not None)

    def breakdown(self) -> dict[str, int]:
        """Bytes by what they are for, of a payload in one piece; empty for one in packets."""
        (payload, *more) = self.pieces
        return {} if self.in_packets or more or payload is None else breakdown(payload)

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
            (payload,) = self.pieces
            if payload is None:
                raise ValueError("a payload that is not in packets cannot lose a part")
            update = self.policy.decode(payload, self.layout)
        for array in update.values():
            array.flags.writeable = False
        return update


class Parcels:
    """Encodes updates, and knows again what it has encoded lately.

    Runs that differ in what cannot change learning send the same payloads.

    Parameters
    ----------
    policy, transport
        Of the run.
    recent
        Where parcels are kept.
    memory
        Measures what encoding takes, if anything does.
    """

    def __init__(
        self,
        policy: Policy,
        transport: Transport,
        recent: Recent,
        memory: EncodingMemory | None = None,
    ) -> None:
        self.policy, self._transport, self._recent = policy, transport, recent
        self.memory = memory
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
            return self._encode(update, context)
        # A client's streams are its context's seed's: both are of a run, a client and a round.
        key = (*self._key, origin, context.seed, context.round_number, context.budget)
        known: Parcel | None = self._recent.get(key)
        if known is not None:
            return known
        parcel = self._encode(update, context)
        if not context.memory:
            self._recent.put(key, parcel, parcel.size + 4 * parcel.layout.size)
        return parcel

    def _encode(self, update: Update, context: EncodingContext) -> Parcel:
        with nullcontext() if self.memory is None else self.memory.measured():
            return Parcel.of(update, self.policy, context, self._transport)
