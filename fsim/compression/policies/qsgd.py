"""``qsgd``: stochastic uniform quantisation in buckets.

Alistarh et al., "QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding",
NeurIPS 2017, section 3 and the bucketing of section 4. Each bucket sends a scale and, for each
coordinate, a sign and a level, in one of three forms:

``packed``
    Sign and level at a fixed width.
``elias``
    The code of section 3.2 (Code_s of the appendix): only levels other than 0, each as the distance
    to the one before it and the level, both in Elias' omega code ("recursive Elias coding"), with
    the sign between them. Meant for few levels, most of them 0.
``elias-dense``
    The appendix's Code'_s for the dense regime: every level plus one in Elias' omega code, and the
    sign where the level is not 0.

Choices: distances run on across buckets, so that one count (4 bytes, little-endian, in front)
serves all of them; scales are float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.compression.coding.bitstreams import concatenate, omega, read_bits, read_omega, walk
from fsim.compression.coding.stochastic import round_by_chance
from fsim.compression.coding.vectors import finite_array, finite_vector, narrow
from fsim.compression.coding.wire import Section, pack, pack_bits, unpack, unpack_bits
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.size_option import SizeOption
from fsim.core.errors import PayloadError
from fsim.core.types import FloatArray, Layout, Update

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Qsgd(Policy):
    """Stochastic quantisation, unbiased: the mean of many decodings is the update.

    Attributes
    ----------
    bits
        For each coordinate, its sign included: 2 to 16. There are ``2**(bits - 1) - 1`` levels
        above 0, whatever the coding.
    bucket
        Coordinates that share one scale, at least 1.
    coding
        ``"packed"``, ``"elias"`` or ``"elias-dense"``; see the module.
    scale
        Of a bucket: ``"max"``, its largest magnitude, as in the paper's experiments; or ``"norm"``,
        its l2 norm, as in its theory (more levels are 0, which Elias' code makes use of).
    """

    name: ClassVar[str] = "qsgd"
    size_option: ClassVar[SizeOption | None] = SizeOption(("bits",), 2, 16, whole_from=1)

    bits: int = 4
    bucket: int = 512
    coding: Literal["packed", "elias", "elias-dense"] = "packed"
    scale: Literal["max", "norm"] = "max"

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 16:
            raise ValueError(f"bits: found {self.bits}, allowed are 2 to 16")
        if self.bucket < 1:
            raise ValueError(f"bucket: found {self.bucket}, allowed is 1 or more")

    @property
    def _levels(self) -> int:
        return int(2 ** (self.bits - 1) - 1)

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        scales = self._scales(vector)
        data = narrow(self.name, scales, "<f4")
        magnitudes = np.abs(vector)
        per_coordinate = self._expand(scales.astype(np.float32), len(vector))
        levels = round_by_chance(magnitudes, per_coordinate, self._levels, context.rng)
        return pack(
            self.name,
            layout,
            {Section.SCALES: data, Section.VALUES: self._write(levels, vector < 0)},
        )

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        buckets = -(-layout.size // self.bucket)
        scales = finite_array(sections, Section.SCALES, "<f4", buckets)
        levels, negative = self._read(sections.get(Section.VALUES, b""), layout.size)
        signs = np.where(negative, np.float32(-1), np.float32(1))
        vector = signs * levels.astype(np.float32) / self._levels
        return layout.unflatten(vector * self._expand(scales, layout.size))

    def _scales(self, vector: FloatArray) -> npt.NDArray[np.floating]:
        begins = np.arange(0, len(vector), self.bucket)
        if self.scale == "max":
            return np.maximum.reduceat(np.abs(vector), begins)
        squares = np.add.reduceat(np.square(vector, dtype=np.float64), begins)
        return np.sqrt(squares)

    def _expand(self, scales: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
        return np.repeat(scales, self.bucket)[:size]

    def _write(self, levels: IntArray, negative: npt.NDArray[np.bool_]) -> bytes:
        if self.coding == "packed":
            return pack_bits(levels | negative.astype(np.int64) << (self.bits - 1), self.bits)
        if self.coding == "elias-dense":
            return _write_dense(levels, negative)
        return _write_sparse(levels, negative)

    def _read(self, data: bytes, size: int) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """Level and sign of each coordinate."""
        if self.coding == "packed":
            codes = unpack_bits(data, size, self.bits)
            return codes & self._levels, codes >> (self.bits - 1) > 0
        _check_length(data, size, self._levels)
        read = _read_dense if self.coding == "elias-dense" else _read_sparse
        levels, negative = read(data, size, self._levels)
        if np.any(levels > self._levels):
            raise PayloadError(f"the payload has a level above {self._levels}")
        return levels, negative


def _write_dense(levels: IntArray, negative: npt.NDArray[np.bool_]) -> bytes:
    codes, lengths = omega(levels + 1)
    signed = levels > 0
    codes = np.where(signed, codes << np.uint64(1) | negative, codes)
    return concatenate(codes, lengths + signed)


def _read_dense(data: bytes, size: int, largest: int) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    bits = read_bits(data)
    numbers, ends = read_omega(bits, largest + 1)
    begins = walk(ends + (numbers > 1), size, len(bits))
    levels = numbers[begins] - 1
    negative = np.zeros(size, dtype=bool)
    negative[levels > 0] = bits[ends[begins[levels > 0]]] > 0
    return levels, negative


def _write_sparse(levels: IntArray, negative: npt.NDArray[np.bool_]) -> bytes:
    at = np.flatnonzero(levels)
    gaps, gap_bits = omega(np.diff(at, prepend=-1))
    values, value_bits = omega(levels[at])
    # Two codewords a level, so that none is longer than 64 bits: distance and sign, then level.
    codes = np.stack([gaps << np.uint64(1) | negative[at], values], axis=1)
    lengths = np.stack([gap_bits + 1, value_bits], axis=1)
    return len(at).to_bytes(4, "little") + concatenate(codes.ravel(), lengths.ravel())


def _read_sparse(data: bytes, size: int, largest: int) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    count = int.from_bytes(data[:4], "little")
    if len(data) < 4 or count > size:
        raise PayloadError(f"the payload has {count} levels for {size} coordinates")
    bits = read_bits(data[4:])
    numbers, ends = read_omega(bits, max(size, largest))
    seconds = np.minimum(ends + 1, len(bits))
    afters = np.append(ends, 2 * len(bits) + 64)[seconds]
    begins = walk(afters, count, len(bits))
    at = np.cumsum(numbers[begins]) - 1
    if count and at[-1] >= size:
        raise PayloadError(f"the payload has a level beyond coordinate {size - 1}")
    levels = np.zeros(size, dtype=np.int64)
    levels[at] = numbers[seconds[begins]]
    negative = np.zeros(size, dtype=bool)
    negative[at] = bits[ends[begins]] > 0
    return levels, negative


def _check_length(data: bytes, size: int, levels: int) -> None:
    """Refuse a stream longer than any of this size, before anything in its proportion is made."""
    longest = int(omega(np.array([size, levels + 1]))[1].sum()) + 1
    if len(data) > 4 + (size * longest + 7) // 8:
        raise PayloadError(f"the payload has {len(data)} bytes of levels for {size} coordinates")
