"""The quantiser of Fed-FSTQ (arXiv 2604.25421, its step 7): levels, tiers and scales.

A coordinate of b bits has the levels -q_max to q_max with q_max(b) = 2^(b-1) - 1, in units of a
scale that its matrix has for that b; one of 16 bits is a float16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fsim.core.errors import PayloadError
from fsim.core.types import FloatArray, Layout

TIERS = (16, 4, 2)
"""Bits of a coordinate that is sent, the most precise first; the others send nothing."""

LEVELLED = TIERS[1:]

Scaling = Literal["max", "least-squares"]
BitArray = npt.NDArray[np.uint8]
LevelArray = npt.NDArray[np.int64]

_EPSILON = 1e-12
"""Keeps the scale of an all-zero matrix finite (epsilon of the paper's quantiser)."""

_OCTAVE = 16
_FRACTIONS = np.array(
    [1.0, 0.957603281, 0.917004043, 0.878126080, 0.840896415, 0.805245166, 0.771105413,
     0.738413073, 0.707106781, 0.677127773, 0.648419777, 0.620928906, 0.594603558, 0.569394317,
     0.545253866, 0.522136891], dtype=np.float32,
)  # fmt: skip
"""2^(-i/16), from constants: the same to the bit everywhere."""

_FACTORS: FloatArray = np.concatenate([np.ldexp(_FRACTIONS, -octave) for octave in range(16)])
_TRIED = 4 * _OCTAVE
"""Scales that are tried: four octaves from the one under which nothing is clipped."""


@dataclass(frozen=True, eq=False)
class Quantised:
    """An update at the precisions chosen.

    Attributes
    ----------
    bits
        Of each coordinate: 16, 4, 2 or 0.
    exact
        The coordinates of 16 bits, little-endian float16.
    levels
        Of those of 4 and of 2 bits, -q_max to q_max.
    scales
        As they are sent; :func:`scales_of` reads them.
    """

    bits: BitArray
    exact: npt.NDArray[np.float16]
    levels: Mapping[int, LevelArray]
    scales: bytes


def limit(bits: int) -> int:
    """q_max(b) = 2^(b-1) - 1."""
    return int(2 ** (bits - 1) - 1)


def encode_scales(
    vector: FloatArray, weights: FloatArray, bits: BitArray, layout: Layout, scaling: Scaling
) -> bytes:
    """The scales of every matrix, as they are sent.

    ``"max"``, the paper's: the largest magnitude of the matrix, a float32, for all tiers.
    ``"least-squares"``: for each tier, the unit of its finest scale as a float32 and a byte c for
    each matrix; its scale is the unit times 2^(-c/16). Of the scales from the paper's down to a
    16th of it, that of the least weighted error over the tier's coordinates is taken. Nothing is
    sent where no coordinate has levels.
    """
    if not np.any((bits == LEVELLED[0]) | (bits == LEVELLED[1])):
        return b""
    largest = np.maximum.reduceat(np.abs(vector), layout.bounds[:-1]).astype("<f4")
    if scaling == "max":
        return largest.tobytes()
    parts = []
    for tier in LEVELLED:
        unit = np.float32(np.max(largest, initial=0) / limit(tier))
        parts.append(np.array([unit], dtype="<f4").tobytes())
        at = np.flatnonzero(bits == tier)
        codes = _best_codes(vector[at], weights[at], _matrices(layout)[at], largest, unit, tier)
        parts.append(codes.tobytes())
    return b"".join(parts)


def scales_of(data: bytes, layout: Layout, scaling: Scaling) -> dict[int, FloatArray]:
    """The scale of each matrix, by tier; none for no bytes.

    Raises
    ------
    PayloadError
        The bytes are not as long as this layout's scales, or not all scales are finite and 0 or
        more.
    """
    if not data:
        return {}
    count = len(layout.tensors)
    expected = 4 * count if scaling == "max" else len(LEVELLED) * (4 + count)
    if len(data) != expected:
        raise PayloadError(f"section scales has {len(data)} bytes, expected {expected}")
    scales: dict[int, FloatArray] = {}
    for number, tier in enumerate(LEVELLED):
        if scaling == "max":
            largest = np.frombuffer(data, dtype="<f4").astype(np.float32)
            scales[tier] = largest / np.float32(limit(tier) + _EPSILON)
        else:
            begin = number * (4 + count)
            unit = np.frombuffer(data, dtype="<f4", count=1, offset=begin).astype(np.float32)
            codes = np.frombuffer(data, dtype=np.uint8, count=count, offset=begin + 4)
            scales[tier] = unit * _FACTORS[codes]
        if not np.all((scales[tier] >= 0) & np.isfinite(scales[tier])):
            raise PayloadError("the payload has a scale that is negative or not finite")
    return scales


def quantise(
    vector: FloatArray, weights: FloatArray, bits: BitArray, layout: Layout, scaling: Scaling
) -> Quantised:
    """Levels by rounding to nearest, clipped to the tier's.

    Raises
    ------
    ValueError
        A coordinate of 16 bits is beyond float16.
    """
    with np.errstate(over="ignore"):
        exact = vector[bits == 16].astype("<f2")
    if not np.all(np.isfinite(exact)):
        raise ValueError(f"fstq cannot express {np.max(np.abs(vector)):g} in float16")
    data = encode_scales(vector, weights, bits, layout, scaling)
    scales = scales_of(data, layout, scaling)
    levels = {}
    for tier in LEVELLED:
        at = np.flatnonzero(bits == tier)
        if not len(at):
            levels[tier] = np.empty(0, dtype=np.int64)
            continue
        scale = scales[tier][_matrices(layout)[at]]
        ratio = np.divide(vector[at], scale, out=np.zeros(len(at), np.float32), where=scale > 0)
        rounded = np.clip(np.rint(ratio), -limit(tier), limit(tier))
        levels[tier] = rounded.astype(np.int64)
    return Quantised(bits, exact, levels, data)


def dequantise(quantised: Quantised, layout: Layout, scaling: Scaling) -> FloatArray:
    """The flat vector that it stands for.

    Raises
    ------
    PayloadError
        The scales are not of this layout, or a value is not finite.
    """
    scales = scales_of(quantised.scales, layout, scaling)
    vector = np.zeros(layout.size, dtype=np.float32)
    vector[quantised.bits == 16] = quantised.exact
    for tier in LEVELLED:
        at = np.flatnonzero(quantised.bits == tier)
        if not len(at):
            continue
        if not scales:
            raise PayloadError("the payload has levels without scales")
        vector[at] = quantised.levels[tier] * scales[tier][_matrices(layout)[at]]
    if not np.all(np.isfinite(vector)):
        raise PayloadError("the payload stands for values that are not finite")
    return vector


def _best_codes(
    values: FloatArray,
    weights: FloatArray,
    matrices: npt.NDArray[np.int64],
    largest: FloatArray,
    unit: np.float32,
    tier: int,
) -> npt.NDArray[np.uint8]:
    count, highest = len(largest), len(_FACTORS) - 1
    own = largest / np.float32(limit(tier))
    # The finest code whose scale is not below the matrix's own, so that nothing is clipped.
    first = np.searchsorted(-unit * _FACTORS, -own, side="right") - 1
    first = np.clip(first, 0, highest)
    best = first.copy()
    least = np.full(count, np.inf)
    for more in range(_TRIED):
        codes = np.minimum(first + more, highest)
        scale = (unit * _FACTORS[codes])[matrices]
        ratio = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)
        decoded = np.clip(np.rint(ratio), -limit(tier), limit(tier)) * scale
        error = np.bincount(matrices, weights * (values - decoded) ** 2, minlength=count)
        better = error < least
        best[better], least[better] = codes[better], error[better]
    return best.astype(np.uint8)


def _matrices(layout: Layout) -> npt.NDArray[np.int64]:
    """The number of the matrix of each coordinate."""
    return np.repeat(np.arange(len(layout.tensors)), np.diff(layout.bounds))
