"""Payloads of ``fstq``: plain, as the paper has them, or entropy-coded.

``docs/wire-format.md`` has both to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fsim.compression.coding.entropy import SymbolReader, SymbolWriter
from fsim.compression.coding.positions import decode_positions, encode_positions
from fsim.compression.coding.tables import Table, count, encode_table, mirrored_table_of, table_of
from fsim.compression.coding.wire import Section, pack_bits, packed_length, unpack_bits
from fsim.compression.policies.fstq.quantiser import LEVELLED, TIERS, LevelArray, Quantised, limit
from fsim.core.errors import PayloadError

Sections = Mapping[Section, bytes]

_BITS_OF_TAGS = np.array([0, 2, 4, 16], dtype=np.uint8)
"""By tag in the entropy-coded form; the plain one has no tag 0 and counts from the next."""

_FRACTION = 11
"""Bits of a float16 that are sent as they are: sign and mantissa. The exponent is coded."""


def plain_sections(quantised: Quantised, *, tagged: bool) -> dict[Section, bytes]:
    """Positions, a 2-bit tag for each (unless all are of 16 bits), scales and packed values."""
    mask = quantised.bits > 0
    tags = np.searchsorted(_BITS_OF_TAGS[1:], quantised.bits[mask])
    values = [quantised.exact.tobytes()]
    values += [pack_bits(quantised.levels[tier] + limit(tier), tier) for tier in LEVELLED]
    sections = {Section.POSITIONS: encode_positions(mask)}
    if tagged:
        sections[Section.TAGS] = pack_bits(tags, 2)
    return sections | {Section.SCALES: quantised.scales, Section.VALUES: b"".join(values)}


def parse_plain(sections: Sections, size: int, *, tagged: bool) -> Quantised:
    """The inverse of :func:`plain_sections`, for ``size`` coordinates.

    Raises
    ------
    PayloadError
        The sections are of another form.
    """
    mask = decode_positions(sections.get(Section.POSITIONS, b""), size)
    tags: npt.NDArray[Any] = np.full(int(mask.sum()), 2)
    if tagged:
        tags = unpack_bits(sections.get(Section.TAGS, b""), len(tags), 2)
    if np.any(tags > 2):
        raise PayloadError("the payload has a tag that stands for no precision")
    bits = np.zeros(size, dtype=np.uint8)
    bits[mask] = _BITS_OF_TAGS[1:][tags]
    values, at = sections.get(Section.VALUES, b""), 0
    parts = {}
    for tier in TIERS:
        length = packed_length(int(np.sum(bits == tier)), tier)
        parts[tier] = values[at : at + length]
        at += length
    if at != len(values):
        raise PayloadError(f"section values has {len(values)} bytes, expected {at}")
    levels = {
        tier: unpack_bits(parts[tier], int(np.sum(bits == tier)), tier) - limit(tier)
        for tier in LEVELLED
    }
    exact = np.frombuffer(parts[16], dtype="<f2")
    return Quantised(bits, exact, levels, sections.get(Section.SCALES, b""))


def entropy_sections(quantised: Quantised) -> dict[Section, bytes]:
    """Scales, tables, tags (0 for what is not sent) and values, all matrices under one table."""
    tags = np.searchsorted(_BITS_OF_TAGS, quantised.bits)
    tables = [encode_table(count(tags, len(_BITS_OF_TAGS)))]
    tag_writer, writer = SymbolWriter(), SymbolWriter()
    tag_writer.write(tags, table_of(tables[0]))
    for tier in LEVELLED:
        levels = quantised.levels[tier]
        if len(levels):
            tables.append(encode_table(count(np.abs(levels), limit(tier) + 1)))
            writer.write(levels + limit(tier), mirrored_table_of(tables[-1]))
    raw = b""
    if len(quantised.exact):
        patterns = quantised.exact.view("<u2").astype(np.int64)
        exponents = patterns >> 10 & 31
        lowest = min(int(exponents.min()), 30)
        span = max(int(exponents.max()) - lowest + 1, 2)
        codes = encode_table(count(exponents - lowest, span))
        tables += [bytes([lowest, span]), codes]
        writer.write(exponents - lowest, table_of(codes))
        raw = pack_bits(patterns >> 5 & 1024 | patterns & 1023, _FRACTION)
    return {
        Section.SCALES: quantised.scales,
        Section.TABLES: b"".join(tables),
        Section.TAGS: tag_writer.finish(),
        Section.VALUES: writer.finish() + raw,
    }


def parse_entropy(sections: Sections, size: int) -> Quantised:
    """The inverse of :func:`entropy_sections`, for ``size`` coordinates.

    Raises
    ------
    PayloadError
        The sections are of another form.
    """
    tables = _Tables(sections.get(Section.TABLES, b""))
    reader = SymbolReader(sections.get(Section.TAGS, b""))
    tags = reader.read(table_of(tables.take(len(_BITS_OF_TAGS))), size)
    reader.finish()
    bits = _BITS_OF_TAGS[tags]
    counts = {tier: int(np.sum(bits == tier)) for tier in TIERS}
    values = sections.get(Section.VALUES, b"")
    split = len(values) - packed_length(counts[16], _FRACTION)
    if split < 0:
        raise PayloadError("the payload ends within its values")
    reader = SymbolReader(values[:split])
    levels: dict[int, LevelArray] = {}
    for tier in LEVELLED:
        levels[tier] = np.empty(0, dtype=np.int64)
        if counts[tier]:
            table = mirrored_table_of(tables.take(limit(tier) + 1))
            levels[tier] = reader.read(table, counts[tier]).astype(np.int64) - limit(tier)
    patterns = np.empty(0, dtype=np.int64)
    if counts[16]:
        lowest, table = tables.take_exponents()
        exponents = reader.read(table, counts[16]).astype(np.int64) + lowest
        raw = unpack_bits(values[split:], counts[16], _FRACTION)
        patterns = (raw & 1024) << 5 | exponents << 10 | raw & 1023
    reader.finish()
    tables.finish()
    exact = cast(npt.NDArray[np.float16], patterns.astype("<u2").view("<f2"))
    return Quantised(bits, exact, levels, sections.get(Section.SCALES, b""))


def entropy_prices(quantised: Quantised) -> dict[int, float]:
    """Bits that a coordinate of each tier takes entropy-coded, beyond those of one not sent."""
    tags = count(np.searchsorted(_BITS_OF_TAGS, quantised.bits), len(_BITS_OF_TAGS)) + 1
    of_tags = np.log2(tags[0] / tags)
    prices = {16: float(of_tags[3]) + _FRACTION + 3}
    for tag, tier in ((1, 2), (2, 4)):
        counts = count(quantised.levels[tier] + limit(tier), 2 * limit(tier) + 1) + 1
        shares = counts / counts.sum()
        prices[tier] = float(of_tags[tag] - np.sum(shares * np.log2(shares)))
    # A tier may be so frequent that it is cheaper than sending nothing: it is never for nothing.
    return {tier: max(price, 0.25) for tier, price in prices.items()}


class _Tables:
    """Reads the tables one after another."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, length: int) -> bytes:
        if self._at + length > len(self._data):
            raise PayloadError("the payload ends within its tables")
        self._at += length
        return self._data[self._at - length : self._at]

    def take_exponents(self) -> tuple[int, Table]:
        """The lowest exponent, and the table of exponents from there on."""
        lowest, span = self.take(2)
        if span < 2 or lowest + span > 32:
            raise PayloadError(f"the payload has exponents {lowest} to {lowest + span - 1}")
        return lowest, table_of(self.take(span))

    def finish(self) -> None:
        if self._at != len(self._data):
            remaining = len(self._data) - self._at
            raise PayloadError(f"the payload has {remaining} bytes of tables too many")
