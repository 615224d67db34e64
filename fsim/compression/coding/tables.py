"""Frequency tables of entropy-coded symbols: a byte a symbol, and integers all the way.

A table's code ``c`` stands for the weight 0 if c = 0, and else for
``(16 + (c - 1) % 16) << ((c - 1) // 16)``: a floating-point number of 4 mantissa bits, within 3%
of any count, which costs less than 0.0003 bit a symbol. Weights become frequencies that sum to
2^24, the precision of the ``constriction`` package's coders, and every symbol keeps at least 1, so
that whatever is decoded is a symbol of the alphabet and whatever table was sent is a valid one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import constriction
import numpy as np
import numpy.typing as npt

PRECISION = 24
"""Frequencies sum to two to this power."""

_STEPS = np.arange(255, dtype=np.int64)
_WEIGHTS = np.concatenate([np.zeros(1, np.int64), (16 + _STEPS % 16) << (_STEPS // 16)])
_LARGEST = int(_WEIGHTS[-1])

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Table:
    """Frequencies of the symbols 0, 1, ... of an alphabet of two or more.

    Attributes
    ----------
    frequencies
        Of each symbol, all at least 1, their sum 2^24.
    """

    frequencies: IntArray

    @classmethod
    def of_weights(cls, weights: IntArray) -> Table:
        """In proportion to weights of 0 or more, exactly and in integers.

        Each symbol gets 1 and its share, rounded down, of the rest; what rounding leaves over
        goes to the first symbol of the largest weight. Where all weights are 0, all are 1.
        """
        weights = weights if weights.any() else np.ones_like(weights)
        free = 2**PRECISION - len(weights)
        frequencies = 1 + weights * free // int(weights.sum())
        frequencies[int(np.argmax(weights))] += 2**PRECISION - int(frequencies.sum())
        return cls(frequencies)

    @cached_property
    def model(self) -> Any:
        """The coder's model of it.

        ``perfect=False`` gives symbol i the probability (1 + floor(share of the free weight)), the
        free weight being 2^24 less the size of the alphabet. With ``frequencies - 1``, whose sum
        is the free weight, that share is an integer already: floating-point numbers carry it, but
        nothing is ever rounded.
        """
        spare = (self.frequencies - 1).astype(np.float64)
        return constriction.stream.model.Categorical(spare, perfect=False)

    @cached_property
    def bits(self) -> npt.NDArray[np.float32]:
        """Cost of each symbol in bits, to a 256th.

        Rounded so that no last digit of a logarithm, which machines may differ in, decides.
        """
        costs = PRECISION - np.log2(self.frequencies)
        return cast(npt.NDArray[np.float32], (np.rint(costs * 256) / 256).astype(np.float32))


def encode_table(counts: IntArray) -> bytes:
    """A table for symbols that occur so often: a code a symbol."""
    largest = int(counts.max())
    if largest == 0:
        return bytes(len(counts))
    targets = counts * _LARGEST // largest
    # A weight begins to be the nearest one half-way from the weight before it; what occurs at all
    # must not get the weight of what never does.
    middles = (_WEIGHTS[1:] + _WEIGHTS[:-1] + 1) // 2
    codes = np.searchsorted(middles, targets, side="right")
    return np.where(counts > 0, np.maximum(codes, 1), 0).astype(np.uint8).tobytes()


def weights_of(codes: bytes) -> IntArray:
    """The weights that a table's codes stand for."""
    return cast(IntArray, _WEIGHTS[np.frombuffer(codes, dtype=np.uint8)])


def table_of(codes: bytes) -> Table:
    """The table of a plain alphabet."""
    return Table.of_weights(weights_of(codes))


def mirrored_table_of(codes: bytes) -> Table:
    """The table of signed levels -K to K, as symbols 0 to 2K, from codes of magnitudes 0 to K.

    Both signs are equally likely.
    """
    weights = weights_of(codes)
    return Table.of_weights(np.concatenate([weights[:0:-1], 2 * weights[:1], weights[1:]]))


def count(symbols: npt.NDArray[Any], size: int) -> IntArray:
    """Frequency of each symbol of an alphabet."""
    return cast(IntArray, np.bincount(symbols, minlength=size).astype(np.int64))
