"""An encoded update on its way: in one piece, or in packets of which some may be lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fsim.compression import EncodingContext, Policy
from fsim.compression.coding.slices import decode_slices, encode_slices, trained_names
from fsim.compression.coding.wire import breakdown
from fsim.compression.faults import running
from fsim.core.errors import PayloadError
from fsim.core.types import Coverage, Layout, Update
from fsim.network import Transport
from fsim.network.transports.packets import DATAGRAM_PAYLOAD
from fsim.simulation.encoding_memory import EncodingMemory
from fsim.store.memory_cache import MemoryCache


@dataclass(frozen=True)
class EncodedUpdate:
    """An update as a policy encoded it, in the pieces that its transport wants.

    Attributes
    ----------
    policy, layout
        By which the server reads it.
    pieces
        The payload, or its packets in the order of sending, None for one that was lost.
    trained
        The tensors that were, where the update was encoded so that it can be read with packets
        missing; None where it was not.
    """

    policy: Policy
    layout: Layout
    pieces: tuple[bytes | None, ...]
    trained: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls, update: Update, policy: Policy, context: EncodingContext, transport: Transport
    ) -> EncodedUpdate:
        """Encode an update: in slices where the transport may lose packets."""
        layout = Layout.of(update)
        with running(policy, ValueError):
            if transport.loses_packets:
                packets = encode_slices(policy, update, context, DATAGRAM_PAYLOAD)
                trained = trained_names(policy, tuple(update), context.round_number)
                return cls(policy, layout, tuple(packets), trained)
            return cls(policy, layout, (policy.encode(update, context),))

    @property
    def in_packets(self) -> bool:
        """True if it can be read with packets missing."""
        return self.trained is not None

    @property
    def size(self) -> int:
        """Bytes of payload that there are."""
        return sum(len(piece) for piece in self.pieces if piece is not None)

    def breakdown(self) -> dict[str, int]:
        """Bytes by what they are for, of a payload in one piece; empty for one in packets."""
        (payload, *more) = self.pieces
        return {} if self.in_packets or more or payload is None else breakdown(payload)

    def lossy(self, lost: npt.NDArray[np.bool_] | None) -> EncodedUpdate:
        """The rest of it without the packets that are lost, shape (packets,); None for none."""
        if lost is None or not self.in_packets:
            return self
        pieces = (
            None if is_lost else piece for piece, is_lost in zip(self.pieces, lost, strict=True)
        )
        return replace(self, pieces=tuple(pieces))

    def changed(self, change: Callable[[bytes], bytes]) -> EncodedUpdate:
        """The payload with its first piece that is there changed; itself if none is there."""
        for at, piece in enumerate(self.pieces):
            if piece is not None:
                other = change(piece)
                if other == piece:
                    break
                return replace(self, pieces=(*self.pieces[:at], other, *self.pieces[at + 1 :]))
        return self

    @property
    def decoded(self) -> Update:
        """The update as the server makes it of what there is, for reading alone.

        Raises
        ------
        PayloadError
            It is not a payload of its policy and layout any more.
        """
        return self._read[0]

    @property
    def coverage(self) -> Coverage | None:
        """Mask of the coordinates that arrived; None if no packet is missing.

        Raises
        ------
        PayloadError
            As for :attr:`decoded`.
        """
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[Update, Coverage | None]:
        coverage: Coverage | None = None
        with running(self.policy, PayloadError):
            if self.trained is not None:
                update, coverage = decode_slices(
                    self.policy, self.pieces, self.layout, self.trained
                )
            else:
                (payload,) = self.pieces
                if payload is None:
                    raise RuntimeError("a payload that is not in packets cannot lose a part")
                update = self.policy.decode(payload, self.layout)
        for array in update.values():
            array.flags.writeable = False
        if None not in self.pieces:
            coverage = None
        return update, coverage


class PayloadEncoder:
    """Encodes updates, each once for all runs that send it.

    Runs that differ in what cannot change learning send the same payloads.

    Parameters
    ----------
    policy, transport
        Of the run.
    cache
        Holds encoded updates for runs that send the same.
    memory
        Measures what encoding takes, if anything does.
    """

    def __init__(
        self,
        policy: Policy,
        transport: Transport,
        cache: MemoryCache,
        memory: EncodingMemory | None = None,
    ) -> None:
        self.policy, self._transport, self._cache = policy, transport, cache
        self.memory = memory
        self._key = (type(policy), repr(policy), transport.loses_packets)

    def of(self, update: Update, context: EncodingContext, origin: str) -> EncodedUpdate:
        """The encoded form of an update.

        Parameters
        ----------
        origin
            The key that its training is stored under; empty if it is not. An update in which a
            client's memory has a part is encoded every time.
        """
        if not origin or context.memory:
            return self._encode(update, context)
        # A client's streams are its context's seed's: both are of a run, a client and a round.
        key = (*self._key, origin, context.seed, context.round_number, context.budget)
        cached: EncodedUpdate | None = self._cache.get(key)
        if cached is not None:
            return cached
        encoded = self._encode(update, context)
        if not context.memory:
            self._cache.put(key, encoded, encoded.size + 4 * encoded.layout.size)
        return encoded

    def _encode(self, update: Update, context: EncodingContext) -> EncodedUpdate:
        with nullcontext() if self.memory is None else self.memory.measured():
            return EncodedUpdate.of(update, self.policy, context, self._transport)
