"""Positions of sent coordinates: as a bitmap or as indices, whichever is smaller."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fsim.compression.coding.wire import pack_bits, packed_length, unpack_bits
from fsim.core.errors import PayloadError

_BITMAP, _INDICES = 0, 1


def encode_positions(mask: npt.NDArray[np.bool_]) -> bytes:
    """Serialise a mask: one byte for the form, then a bitmap or packed indices.

    Indices take as many bits as the largest possible one needs, and are preceded by their count
    (4 bytes, little-endian).
    """
    width = index_width(len(mask))
    indices = np.flatnonzero(mask)
    if 4 + packed_length(len(indices), width) < packed_length(len(mask), 1):
        count = len(indices).to_bytes(4, "little")
        return bytes([_INDICES]) + count + pack_bits(indices, width)
    return bytes([_BITMAP]) + np.packbits(mask).tobytes()


def decode_positions(data: bytes, size: int) -> npt.NDArray[np.bool_]:
    """The mask over ``size`` coordinates.

    Raises
    ------
    PayloadError
        The bytes are neither form, or name a coordinate twice, out of order or out of range.
    """
    if data[:1] == bytes([_BITMAP]):
        return unpack_bits(data[1:], size, 1).astype(bool)
    if data[:1] != bytes([_INDICES]) or len(data) < 5:
        raise PayloadError("the payload's positions are neither a bitmap nor indices")
    count = int.from_bytes(data[1:5], "little")
    if count > size:
        raise PayloadError(f"the payload names {count} of {size} coordinates")
    indices = unpack_bits(data[5:], count, index_width(size))
    if np.any(np.diff(indices) <= 0) or np.any(indices >= size):
        raise PayloadError("the payload's indices do not increase within the adapter")
    mask = np.zeros(size, dtype=bool)
    mask[indices] = True
    return mask


def index_width(size: int) -> int:
    """Bits of an index into ``size`` coordinates."""
    return max(1, (size - 1).bit_length())
