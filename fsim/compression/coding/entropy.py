"""Entropy coding of symbols: asymmetric numeral systems (ANS).

J. Duda et al., "The use of asymmetric numeral systems as an accurate replacement for Huffman
coding", PCS 2015, by the ``constriction`` package (its ``stream.stack.AnsCoder``: a state of 64
bits, words of 32). Of its two coders this one came out ahead of the range coder in size and in
speed both ways (``benchmarks/compression.py``).

A stream is the coder's words, little-endian, the first written first, without the zero bytes at
the very end; the decoder fills them in again. As ANS is a stack, symbols are pushed last to first
and come back first to last.
"""

from __future__ import annotations

from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from fsim.compression.coding.tables import Table
from fsim.core.errors import PayloadError

_WORD = 4


class SymbolWriter:
    """Collects symbols, each lot with its table, for one stream."""

    def __init__(self) -> None:
        self._lots: list[tuple[npt.NDArray[np.int32], Table]] = []

    def write(self, symbols: npt.NDArray[Any], table: Table) -> None:
        """Append symbols of 0 up to the size of the table's alphabet."""
        self._lots.append((np.ascontiguousarray(symbols, dtype=np.int32), table))

    def finish(self) -> bytes:
        """The stream; empty where nothing was written or all of it was certain."""
        coder = constriction.stream.stack.AnsCoder()
        for symbols, table in reversed(self._lots):
            coder.encode_reverse(symbols, table.model)
        words: npt.NDArray[np.uint32] = coder.get_compressed()
        return words.astype("<u4").tobytes().rstrip(b"\0")


class SymbolReader:
    """Reads a stream back, lot by lot.

    Any bytes give symbols of the alphabets asked for, in time proportional to their number, which
    the caller bounds; whether they were meant shows in :meth:`finish`.

    Raises
    ------
    PayloadError
        The stream ends with a zero byte, which no writer leaves.
    """

    def __init__(self, data: bytes) -> None:
        if data.endswith(b"\0"):
            raise PayloadError("the payload has a stream of symbols that ends with a zero byte")
        words = np.frombuffer(data + bytes(-len(data) % _WORD), dtype="<u4").astype(np.uint32)
        self._coder = constriction.stream.stack.AnsCoder(words)

    def read(self, table: Table, count: int) -> npt.NDArray[np.int32]:
        """The next symbols; ``count`` of them."""
        if count == 0:
            return np.empty(0, dtype=np.int32)
        symbols: npt.NDArray[np.int32] = self._coder.decode(table.model, count)
        return symbols

    def finish(self) -> None:
        """Check that all that was written has been read.

        Raises
        ------
        PayloadError
            The stream holds more or other symbols than were read.
        """
        if not self._coder.is_empty():
            raise PayloadError("the payload has a stream of other symbols than its tables tell")
