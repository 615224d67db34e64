"""The frame that every payload travels in, and packing of small integers.

A payload is a header of 16 bytes, all integers little-endian, then its sections one after another:

====== ===== ==================================================================
offset bytes meaning
====== ===== ==================================================================
0      4     ``FSIM``
4      1     version of this frame, 1
5      1     number of sections
6      2     policy: the lower half of the CRC-32 of its name
8      4     layout: CRC-32 of the adapter's tensor names and shapes
12     4     CRC-32 of bytes 0 to 11 and of everything after the header
====== ===== ==================================================================

A section is its kind (1 byte), its length (4 bytes) and that many bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from fsim.errors import PayloadError
from fsim.vocabulary import Layout

MAGIC = b"FSIM"
VERSION = 1
_HEADER = struct.Struct("<4sBBHII")
_SECTION = struct.Struct("<BI")


class Section(IntEnum):
    """What a section of a payload holds."""

    POSITIONS = 1
    TAGS = 2
    VALUES = 3
    SCALES = 4


def pack(policy: str, layout: Layout, sections: Mapping[Section, bytes]) -> bytes:
    """Frame sections as a payload, in the order given."""
    body = b"".join(_SECTION.pack(kind, len(data)) + data for kind, data in sections.items())
    fields = (MAGIC, VERSION, len(sections), _policy_code(policy), layout.digest)
    checksum = zlib.crc32(body, zlib.crc32(_HEADER.pack(*fields, 0)[:12]))
    return _HEADER.pack(*fields, checksum) + body


def unpack(payload: bytes, policy: str, layout: Layout) -> dict[Section, bytes]:
    """The sections of a payload.

    Raises
    ------
    PayloadError
        Truncated, damaged, of another version, policy or layout, or with unknown sections.
    """
    if len(payload) < _HEADER.size:
        raise PayloadError(f"a payload of {len(payload)} bytes is shorter than its header")
    magic, version, count, code, digest, checksum = _HEADER.unpack_from(payload)
    if magic != MAGIC:
        raise PayloadError(f"found a payload that begins with {magic!r}, allowed is {MAGIC!r}")
    if version != VERSION:
        raise PayloadError(f"found payload version {version}, allowed is {VERSION}")
    if checksum != zlib.crc32(payload[_HEADER.size :], zlib.crc32(payload[:12])):
        raise PayloadError("the payload's checksum does not match its bytes")
    if code != _policy_code(policy):
        raise PayloadError(f"the payload was not encoded by the policy {policy!r}")
    if digest != layout.digest:
        raise PayloadError("the payload was encoded for another adapter layout")
    sections: dict[Section, bytes] = {}
    at = _HEADER.size
    for _ in range(count):
        if at + _SECTION.size > len(payload):
            raise PayloadError("the payload ends within a section")
        kind, length = _SECTION.unpack_from(payload, at)
        at += _SECTION.size
        if at + length > len(payload):
            raise PayloadError("the payload ends within a section")
        if kind not in Section.__members__.values() or kind in sections:
            raise PayloadError(f"the payload has an unknown or repeated section {kind}")
        sections[Section(kind)] = payload[at : at + length]
        at += length
    if at != len(payload):
        raise PayloadError(f"the payload has {len(payload) - at} bytes after its last section")
    return sections


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
