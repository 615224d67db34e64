"""What a client sends: its update's encoded, and with it what changes its control variate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    """A encoded alone, or one in one piece joined with the change of a control variate.

    Attributes
    ----------
    encoded
        The encoded update.
    control
        The change of the client's control variate, serialised; None where there is none.
    damaged
        Whether the two cannot be told apart any more.
    """

    encoded: EncodedUpdate
    control: bytes | None = None
    damaged: bool = False

    @property
    def size(self) -> int:
        """Bytes in all."""
        if self.control is None:
            return self.encoded.size
        return joined_length(self.encoded.size, len(self.control))

    def breakdown(self) -> dict[str, int]:
        """Bytes by what they are for, the varint being of the header; empty for one in packets."""
        parts = self.encoded.breakdown()
        if self.control is None or not parts:
            return parts
        parts["header"] += self.size - self.encoded.size - len(self.control)
        return {**parts, "control": len(self.control)}

    def lossy(self, lost: npt.NDArray[np.bool_] | None) -> UplinkMessage:
        """What is left of it without the packets that are lost (:meth:`EncodedUpdate.lossy`)."""
        return UplinkMessage(self.encoded.lossy(lost), self.control)

    def changed(self, change: Callable[[bytes], bytes]) -> UplinkMessage:
        """The message with its first piece that is there changed, as long as before.

        Where the change falls on the length, or whatever cannot be parted after it, it is damaged.
        """
        if self.control is None:
            return UplinkMessage(self.encoded.changed(change))
        (update,) = self.encoded.pieces
        whole = join(update or b"", self.control)
        altered = change(whole)
        if altered == whole:
            return self
        try:
            update, control = part(altered)
        except PayloadError:
            return UplinkMessage(self.encoded, self.control, damaged=True)
        if len(update) != self.encoded.size:
            return UplinkMessage(self.encoded, self.control, damaged=True)
        return UplinkMessage(self.encoded.changed(lambda _: update), control)

    def read(self) -> tuple[EncodedUpdate, bytes | None]:
        """The two apart.

        Raises
        ------
        PayloadError
            It is damaged.
        """
        if self.damaged:
            raise PayloadError("the message's length is not that of its update")
        return self.encoded, self.control
