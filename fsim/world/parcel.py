"""An encoded update on its way: in one piece, or in packets of which some may be lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fsim.compression import EncodingContext, Policy
from fsim.compression.fragments import decode_fragments, encode_fragments
from fsim.compression.wire import breakdown
from fsim.network import Datagram, Transport
from fsim.network.packets import DATAGRAM_PAYLOAD
from fsim.vocabulary import Layout, Update


@dataclass(frozen=True)
class Parcel:
    """What a policy made of an update, as its transport wants it.

    Attributes
    ----------
    pieces
        The payload, or its packets in the order of sending, None for one that was lost.
    in_packets
        Whether the update was encoded so that it can be read with packets missing.
    """

    pieces: tuple[bytes | None, ...]
    in_packets: bool

    @classmethod
    def of(
        cls, update: Update, policy: Policy, context: EncodingContext, transport: Transport
    ) -> Parcel:
        """Encode an update: in fragments where the transport may lose packets."""
        if isinstance(transport, Datagram):
            return cls(tuple(encode_fragments(policy, update, context, DATAGRAM_PAYLOAD)), True)
        return cls((policy.encode(update, context),), False)

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
        (payload,) = self.pieces
        if payload is None:
            raise ValueError("a payload that is not in packets cannot lose a part")
        return policy.decode(payload, layout)
