"""``eden``: a random rotation, then the best quantiser of what every rotated vector looks like.

Vargaftik et al., "EDEN: Communication-Efficient and Robust Distributed Mean Estimation for
Federated Learning", ICML 2022: a randomised Hadamard transform makes coordinates nearly Gaussian;
each is sent as the nearest of the 2**bits centroids that Lloyd and Max found for the normal
distribution (Max, "Quantizing for Minimum Distortion", IRE Transactions on Information Theory 6(1),
1960); and the scale S = ||x||**2 / <R x, Q(R x)> makes the estimate unbiased over the rotations
(section 3). Below 1 bit, a random share of the coordinates, divided by that share, is sent at 1 bit
(its section on sub-bit budgets).

Choices: the vector is cut into blocks, each rotated and scaled for itself, the last one filled up
with zeros to a power of two, so that no vector is padded to twice its length; exactly the share is
sampled; below 1 bit sampling comes before the rotation. Signs of the rotation and the sample are
drawn from the seed of client and round, which is sent (8 bytes, little-endian, in the section of
positions) and drawn from raw PCG64 output, the same in every version of NumPy.

With a Hadamard transform instead of a uniform rotation "unbiased" holds nearly: not for a block of
few nonzero coordinates, for which one transform leaves few different values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.compression.coding.vectors import finite_array, finite_vector, narrow, share_of
from fsim.compression.coding.wire import (
    Section,
    pack,
    pack_bits,
    packed_length,
    unpack,
    unpack_bits,
)
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.size_option import SizeOption
from fsim.core.errors import PayloadError
from fsim.core.rng import stream
from fsim.core.types import Layout, Update

Matrix = npt.NDArray[np.float64]
Shape = list[tuple[int, int]]
"""How many blocks of which length, the whole ones and the last."""

CENTROIDS: dict[int, tuple[float, ...]] = {
    1: (0.797884561,),
    2: (0.452780035, 1.510417608),
    3: (0.245094179, 0.756005281, 1.343909279, 2.151945705),
    4: (0.12839503, 0.388048299, 0.656759119, 0.942340456,
        1.256231197, 1.618046386, 2.069017227, 2.732589571),
}  # fmt: skip
"""By bits: the positive half of the Lloyd-Max centroids of the standard normal distribution."""

_SEED_BYTES = 8


@dataclass(frozen=True)
class Eden(Policy):
    """Rotated, quantised to Gaussian centroids, rescaled.

    Attributes
    ----------
    bits
        For each coordinate: 1, 2, 3, 4, or a share of 1 above 0, which is the share sent at 1 bit.
    block
        Coordinates rotated together, a power of two from 2 to 65536. Each block sends a scale.
    """

    name: ClassVar[str] = "eden"
    size_option: ClassVar[SizeOption | None] = SizeOption(("bits",), 0.05, 4, whole_from=1)

    bits: float = 1
    block: int = 4096

    def __post_init__(self) -> None:
        if not (0 < self.bits < 1 or self.bits in CENTROIDS):
            raise ValueError(f"bits: found {self.bits}, allowed are 1, 2, 3, 4 and above 0 below 1")
        if not 2 <= self.block <= 65536 or self.block & (self.block - 1):
            raise ValueError(f"block: found {self.block}, allowed are powers of two, 2 to 65536")

    @override
    def slice_length(self, length: int) -> int:
        # A share of the coordinates is what is rotated below 1 bit.
        rotated = length if self.bits >= 1 else share_of(self.bits, length)
        whole = rotated // self.block * self.block or 1 << (rotated.bit_length() - 1)
        return whole if self.bits >= 1 else max(1, int(whole / self.bits))

    @property
    def _width(self) -> int:
        return max(1, int(self.bits))

    @property
    def _centroids(self) -> Matrix:
        positive = np.array(CENTROIDS[self._width])
        return np.concatenate([-positive[::-1], positive])

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """Rotated and rounded; the context must bring the seed of client and round."""
        if not 0 <= context.seed < 2 ** (8 * _SEED_BYTES):
            raise ValueError(f"seed: found {context.seed}, allowed are integers of 64 bits from 0")
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update).astype(np.float64)
        if self.bits < 1:
            sampled = self._sample(context.seed, layout.size)
            vector = vector[sampled] * (layout.size / len(sampled))
        shape = self._shape(vector)
        signs = _signs(context.seed, _padded(shape))
        codes, scales = [], []
        for block, sign in zip(_cut(vector, shape), _cut(signs, shape), strict=True):
            code, scale = self._quantise(hadamard(block * sign))
            codes.append(code.ravel())
            scales.append(scale)
        return pack(
            self.name,
            layout,
            {
                Section.POSITIONS: context.seed.to_bytes(_SEED_BYTES, "little"),
                Section.SCALES: narrow(self.name, np.concatenate(scales), "<f4"),
                Section.VALUES: pack_bits(np.concatenate(codes), self._width),
            },
        )

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        seed_bytes = sections.get(Section.POSITIONS, b"")
        if len(seed_bytes) != _SEED_BYTES:
            raise PayloadError(f"found a seed of {len(seed_bytes)} bytes, expected {_SEED_BYTES}")
        seed = int.from_bytes(seed_bytes, "little")
        vector = np.zeros(layout.size)
        sampled = self._sample(seed, layout.size) if self.bits < 1 else slice(None)
        sample = vector[sampled]
        shape = self._shape(sample)
        padded = _padded(shape)
        scales = finite_array(sections, Section.SCALES, "<f4", sum(rows for rows, _ in shape))
        values = sections.get(Section.VALUES, b"")
        if len(values) != packed_length(padded, self._width):
            raise PayloadError(f"found {len(values)} bytes of centroids for {padded}")
        rotated = self._centroids[unpack_bits(values, padded, self._width)]
        rotated *= np.repeat(scales, [length for rows, length in shape for _ in range(rows)])
        parts = zip(_cut(rotated, shape), _cut(_signs(seed, padded), shape), strict=True)
        flat = np.concatenate([(hadamard(block) * sign).ravel() for block, sign in parts])
        vector[sampled] = flat[: len(sample)]
        if np.max(np.abs(vector)) > np.finfo(np.float32).max:
            raise PayloadError("the payload's scales are beyond float32")
        return layout.unflatten(vector)

    def _shape(self, vector: Matrix) -> Shape:
        """Blocks that a vector is cut into: their number and length, the last one apart."""
        rows, rest = divmod(len(vector), self.block)
        tail = [(1, 1 << (rest - 1).bit_length())] if rest else []
        return ([(rows, self.block)] if rows else []) + tail

    def _quantise(self, rotated: Matrix) -> tuple[npt.NDArray[np.int64], Matrix]:
        """Index of the nearest centroid of each coordinate, and S times the normalising factor."""
        squares = np.sum(rotated**2, axis=1)
        norms = np.sqrt(np.where(squares > 0, squares, 1) / rotated.shape[1])
        centroids = self._centroids
        codes = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, rotated / norms[:, None])
        products = np.sum(rotated * centroids[codes], axis=1)
        return codes, squares / np.where(squares > 0, products, 1)

    def _sample(self, seed: int, size: int) -> npt.NDArray[np.int64]:
        """The coordinates that are sent, in order."""
        count = share_of(self.bits, size)
        keys = stream(seed, "compression.eden.sample").bit_generator.random_raw(size)
        smallest = np.flatnonzero(keys <= np.partition(keys, count - 1)[count - 1])
        return smallest[:count]


def hadamard(rows: Matrix) -> Matrix:
    """The orthonormal Walsh-Hadamard transform of each row; it is its own inverse.

    Parameters
    ----------
    rows
        Shape ``(blocks, length)``, length a power of two.
    """
    blocks, length = rows.shape
    result: Matrix = rows
    half = 1
    while half < length:
        pairs = result.reshape(blocks, -1, 2, half)
        sums, differences = pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]
        result = np.stack([sums, differences], axis=2).reshape(blocks, length)
        half *= 2
    scaled: Matrix = result / math.sqrt(length)
    return scaled


def _padded(shape: Shape) -> int:
    """Coordinates of all blocks."""
    return sum(rows * length for rows, length in shape)


def _cut(vector: Matrix, shape: Shape) -> list[Matrix]:
    """The blocks by length, shape ``(blocks, length)``, the last filled with zeros."""
    filled = np.zeros(_padded(shape))
    filled[: len(vector)] = vector
    parts = np.split(filled, np.cumsum([rows * length for rows, length in shape])[:-1])
    return [part.reshape(blocks) for part, blocks in zip(parts, shape, strict=True)]


def _signs(seed: int, count: int) -> Matrix:
    """The diagonal of +1 and -1 before the transform."""
    words = stream(seed, "compression.eden.rotation").bit_generator.random_raw(-(-count // 64))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), count=count)
    return np.where(bits, -1.0, 1.0)
