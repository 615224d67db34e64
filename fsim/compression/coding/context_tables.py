"""A table for each context, and neighbouring contexts under one table where that is shorter.

In bytes: two of flags, bit i (of a little-endian integer) set where context i has another table
than context i - 1 (bit 0 is always clear); then, for each table, the largest magnitude K and, for
K above 0, the codes of magnitudes 0 to K.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fsim.compression.coding.scan import CONTEXTS
from fsim.compression.coding.tables import Table, encode_table, mirrored_table_of
from fsim.core.errors import PayloadError

LARGEST = 255
"""No level is larger."""

_FLAGS = 2

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ContextTable:
    """One table.

    Attributes
    ----------
    largest
        Magnitude K; symbols 0 to 2K stand for -K to K. At 0 nothing is coded.
    table
        None if K is 0.
    """

    largest: int
    table: Table | None


@dataclass(frozen=True, eq=False)
class ContextTables:
    """The tables of all contexts.

    Attributes
    ----------
    groups
        For each context the number of its table.
    data
        As they are sent.
    """

    groups: IntArray
    tables: tuple[ContextTable, ...]
    data: bytes


def fit_tables(counts: IntArray) -> ContextTables:
    """The tables for magnitudes counted by context, shape ``(CONTEXTS, n)``."""
    starts = _merge(counts)
    flags = sum(1 << start for start in starts[1:])
    codes = []
    for begin, end in zip(starts, [*starts[1:], CONTEXTS], strict=True):
        merged = counts[begin:end].sum(axis=0)
        largest = int(np.flatnonzero(merged).max(initial=0))
        codes.append(bytes([largest]) + (encode_table(merged[: largest + 1]) if largest else b""))
    return parse_tables(flags.to_bytes(_FLAGS, "little") + b"".join(codes))


def parse_tables(data: bytes) -> ContextTables:
    """The tables that bytes stand for.

    Raises
    ------
    PayloadError
        The bytes end early or late.
    """
    flags = int.from_bytes(data[:_FLAGS], "little")
    if len(data) < _FLAGS or flags & 1:
        raise PayloadError("the payload has no tables")
    groups = np.cumsum([flags >> context & 1 for context in range(CONTEXTS)])
    tables, at = [], _FLAGS
    for _ in range(int(groups[-1]) + 1):
        largest = data[at] if at < len(data) else 0
        end = at + 1 + (largest + 1 if largest else 0)
        if end > len(data):
            raise PayloadError("the payload ends within a table")
        table = mirrored_table_of(data[at + 1 : end]) if largest else None
        tables.append(ContextTable(largest, table))
        at = end
    if at != len(data):
        raise PayloadError(f"the payload has {len(data) - at} bytes of tables too many")
    return ContextTables(groups, tuple(tables), data)


def costs(tables: ContextTables, size: int) -> npt.NDArray[np.float32]:
    """Bits of each magnitude in each context, sign included, shape ``(CONTEXTS, size)``.

    What a table cannot code today costs what a symbol of the smallest frequency would.
    """
    rows = np.full((len(tables.tables), size), 24, dtype=np.float32)
    for row, each in zip(rows, tables.tables, strict=True):
        if each.table is None:
            # Levels other than 0 have not been seen here; were there a few, they would cost this.
            row[0], row[1:] = 0, 12
        else:
            bits = each.table.bits[each.largest :][:size]
            row[: len(bits)] = bits
    return rows[tables.groups]


def _merge(counts: IntArray) -> list[int]:
    """First contexts of the groups: pairs are merged while that saves more than it costs."""
    starts = list(range(CONTEXTS))
    groups = [counts[start] for start in starts]
    while len(groups) > 1:
        pairs = range(len(groups) - 1)
        gains = [
            _bits(groups[i]) + _bits(groups[i + 1]) - _bits(groups[i] + groups[i + 1])
            for i in pairs
        ]
        best = int(np.argmax(gains))
        if gains[best] < 0:
            break
        groups[best : best + 2] = [groups[best] + groups[best + 1]]
        del starts[best + 1]
    return starts


def _bits(counts: IntArray) -> float:
    """Of a group: its symbols at their entropy, and its table."""
    present = counts[counts > 0]
    largest = int(np.flatnonzero(counts).max(initial=0))
    table = 8 * (1 + (largest + 1 if largest else 0))
    total = int(present.sum())
    # To a 256th of a bit, so that the last digit of a logarithm does not decide.
    entropy = float(total * np.log2(max(total, 1)) - np.sum(present * np.log2(present)))
    return round(256 * entropy) / 256 + table
