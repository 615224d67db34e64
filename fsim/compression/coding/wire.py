"""The frame that every payload travels in, and packing of small integers.

A payload is a header of 13 bytes, all integers little-endian, then its sections one after another:

====== ===== ==================================================================
offset bytes meaning
====== ===== ==================================================================
0      2     ``FS``
2      1     version of this frame, 2
3      2     policy: the lower half of the CRC-32 of its name
5      4     layout: CRC-32 of the adapter's tensor names and shapes
9      4     CRC-32 of bytes 0 to 8 and of everything after the header
====== ===== ==================================================================

A section is a byte that names its kind, its length as a varint (seven bits a byte, the lowest
first, the top bit set on all but the last byte: LEB128) and that many bytes. The last section has
bit 7 of its kind set and no length: it goes on to the end. ``docs/wire-format.md`` has the whole
format and an example worked by hand.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from fsim.core.errors import PayloadError
from fsim.core.types import Layout

MAGIC = b"FS"
VERSION = 2
_HEADER = struct.Struct("<2sBHII")
HEADER_BYTES = _HEADER.size
_UNSUMMED = HEADER_BYTES - 4
_LAST = 0x80
_VARINT_BYTES = 5
"""A length of 35 bits: more than any payload has."""


class Section(IntEnum):
    """Kinds of sections of a payload."""

    POSITIONS = 1
    TAGS = 2
    VALUES = 3
    SCALES = 4
    TABLES = 5


def pack(policy: str, layout: Layout, sections: Mapping[Section, bytes]) -> bytes:
    """Frame sections as a payload, in the order given."""
    parts = []
    for remaining, (kind, data) in zip(
        range(len(sections) - 1, -1, -1), sections.items(), strict=True
    ):
        head = bytes([kind]) + encode_varint(len(data)) if remaining else bytes([kind | _LAST])
        parts.append(head + data)
    body = b"".join(parts)
    fields = (MAGIC, VERSION, _policy_code(policy), layout.digest)
    checksum = zlib.crc32(body, zlib.crc32(_HEADER.pack(*fields, 0)[:_UNSUMMED]))
    return _HEADER.pack(*fields, checksum) + body


def frame_start(policy: str, layout: Layout) -> bytes:
    """The bytes before the checksum, which are the same in all payloads of a policy and layout."""
    return _HEADER.pack(MAGIC, VERSION, _policy_code(policy), layout.digest, 0)[:_UNSUMMED]


def framed_length(lengths: Sequence[int]) -> int:
    """Bytes of a payload whose sections have these lengths, in this order."""
    heads = sum(1 + len(encode_varint(length)) for length in lengths[:-1])
    return HEADER_BYTES + heads + min(1, len(lengths)) + sum(lengths)


def unpack(payload: bytes, policy: str, layout: Layout) -> dict[Section, bytes]:
    """The sections of a payload.

    Raises
    ------
    PayloadError
        Truncated, damaged, of another version, policy or layout, or with unknown sections.
    """
    code, digest = _check_frame(payload)
    if code != _policy_code(policy):
        raise PayloadError(f"the payload was not encoded by the policy {policy!r}")
    if digest != layout.digest:
        raise PayloadError("the payload was encoded for another adapter layout")
    return _sections(payload)


def breakdown(payload: bytes) -> dict[str, int]:
    """Bytes of a payload by what they are for; their sum is its length.

    ``header`` is the frame: header, kinds and lengths of sections. The others are the sections'
    names in lower case, 0 where a payload has none of a kind. Where a policy codes positions and
    tags in one, both are ``tags``.

    Raises
    ------
    PayloadError
        The bytes are no payload.
    """
    _check_frame(payload)
    sections = _sections(payload)
    sizes = {kind.name.lower(): len(sections.get(kind, b"")) for kind in Section}
    return {"header": len(payload) - sum(sizes.values()), **sizes}


def _check_frame(payload: bytes) -> tuple[int, int]:
    """The codes of policy and layout, after magic, version and checksum were found right."""
    if len(payload) < HEADER_BYTES:
        raise PayloadError(f"a payload of {len(payload)} bytes is shorter than its header")
    magic, version, code, digest, checksum = _HEADER.unpack_from(payload)
    if magic != MAGIC:
        raise PayloadError(f"found a payload that begins with {magic!r}, allowed is {MAGIC!r}")
    if version != VERSION:
        raise PayloadError(f"found payload version {version}, allowed is {VERSION}")
    if checksum != zlib.crc32(payload[HEADER_BYTES:], zlib.crc32(payload[:_UNSUMMED])):
        raise PayloadError("the payload's checksum does not match its bytes")
    return code, digest


def _sections(payload: bytes) -> dict[Section, bytes]:
    sections: dict[Section, bytes] = {}
    at, last = HEADER_BYTES, len(payload) == HEADER_BYTES
    while not last:
        if at >= len(payload):
            raise PayloadError("the payload ends before its last section")
        kind, last = payload[at] & ~_LAST, bool(payload[at] & _LAST)
        if kind not in Section.__members__.values() or kind in sections:
            raise PayloadError(f"the payload has an unknown or repeated section {kind}")
        at += 1
        length = len(payload) - at
        if not last:
            length, at = decode_varint(payload, at)
        if at + length > len(payload):
            raise PayloadError("the payload ends within a section")
        sections[Section(kind)] = payload[at : at + length]
        at += length
    return sections


def encode_varint(value: int) -> bytes:
    """An integer of 0 or more, seven bits a byte, the lowest first (LEB128)."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """The integer that begins at byte ``at``, and where the next thing begins.

    Raises
    ------
    PayloadError
        It does not end within the data or within five bytes, or it has bytes to spare.
    """
    value = 0
    for place, byte in enumerate(data[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if byte == 0 and place:
                raise PayloadError("the payload has a length with leading zeros")
            return value, at + place + 1
    raise PayloadError("the payload has a length that does not end")


def section_array(
    sections: Mapping[Section, bytes], kind: Section, dtype: str, count: int
) -> npt.NDArray[Any]:
    """A section as a writable array of ``count`` numbers of a little-endian ``dtype``.

    Raises
    ------
    PayloadError
        The section is missing or has another length.
    """
    data = sections.get(kind, b"")
    if len(data) != count * np.dtype(dtype).itemsize:
        raise PayloadError(
            f"section {kind.name.lower()} has {len(data)} bytes, "
            f"expected {count * np.dtype(dtype).itemsize}"
        )
    return np.frombuffer(data, dtype=dtype).copy()


def pack_bits(values: npt.NDArray[Any], width: int) -> bytes:
    """Unsigned integers below ``2 ** width``, ``width`` bits each, most significant bit first."""
    shifts = np.arange(width - 1, -1, -1, dtype=np.uint32)
    bits = (values.astype(np.uint32)[:, None] >> shifts) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def packed_length(count: int, width: int) -> int:
    """Bytes that ``count`` integers of ``width`` bits take."""
    return (count * width + 7) // 8


def unpack_bits(data: bytes, count: int, width: int) -> npt.NDArray[np.int64]:
    """The inverse of :func:`pack_bits`.

    Raises
    ------
    PayloadError
        ``data`` is not as long as ``count`` integers of ``width`` bits take.
    """
    if len(data) != packed_length(count, width):
        raise PayloadError(
            f"found {len(data)} packed bytes, expected {packed_length(count, width)}"
        )
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=count * width)
    weights = 1 << np.arange(width - 1, -1, -1, dtype=np.int64)
    return bits.reshape(count, width).astype(np.int64) @ weights


def _policy_code(name: str) -> int:
    return zlib.crc32(name.encode("utf-8")) & 0xFFFF
