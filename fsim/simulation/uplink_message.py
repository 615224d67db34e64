"""A client's message: its encoded update, and what its algorithm sends beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fsim.compression.coding.wire import decode_varint, encode_varint
from fsim.core.errors import PayloadError
from fsim.simulation.payload import EncodedUpdate


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
class UplinkMessage:
    """An encoded update alone, or one in one piece joined with its companion.

    Attributes
    ----------
    encoded
        The encoded update.
    companion
        The algorithm's own payload beside it; None where there is none.
    companion_name
        In records.
    damaged
        True if the two cannot be separated any more.
    """

    encoded: EncodedUpdate
    companion: bytes | None = None
    companion_name: str = "companion"
    damaged: bool = False

    @property
    def size(self) -> int:
        """Bytes in all."""
        if self.companion is None:
            return self.encoded.size
        return joined_length(self.encoded.size, len(self.companion))

    def breakdown(self) -> dict[str, int]:
        """Bytes by what they are for, the varint being of the header; empty for one in packets."""
        parts = self.encoded.breakdown()
        if self.companion is None or not parts:
            return parts
        parts["header"] += self.size - self.encoded.size - len(self.companion)
        return {**parts, self.companion_name: len(self.companion)}

    def lossy(self, lost: npt.NDArray[np.bool_] | None) -> UplinkMessage:
        """The rest of it without the packets that are lost (:meth:`EncodedUpdate.lossy`)."""
        return replace(self, encoded=self.encoded.lossy(lost))

    def changed(self, change: Callable[[bytes], bytes]) -> UplinkMessage:
        """The message with its first piece that is there changed, as long as before.

        Where the change falls on the length, or whatever cannot be parted after it, it is damaged.
        """
        if self.companion is None:
            return replace(self, encoded=self.encoded.changed(change))
        (update,) = self.encoded.pieces
        whole = join(update or b"", self.companion)
        altered = change(whole)
        if altered == whole:
            return self
        try:
            update, companion = part(altered)
        except PayloadError:
            return replace(self, damaged=True)
        if len(update) != self.encoded.size:
            return replace(self, damaged=True)
        return replace(self, encoded=self.encoded.changed(lambda _: update), companion=companion)

    def read(self) -> tuple[EncodedUpdate, bytes | None]:
        """The encoded update and its companion.

        Raises
        ------
        PayloadError
            It is damaged.
        """
        if self.damaged:
            raise PayloadError("the message's length is not that of its update")
        return self.encoded, self.companion
