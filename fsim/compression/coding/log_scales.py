"""Scales in a byte each: powers of two in steps of a sixth, within 6%."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fsim.core.types import FloatArray

STEPS_AN_OCTAVE = 6

LARGEST_EXPONENT = 10
"""The largest scale is 2^10, the smallest 2^-32.2."""


def scale_codes(scales: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """A byte a scale, 0 for zero; too large or too small ones become the nearest there is."""
    with np.errstate(divide="ignore"):
        steps = np.rint(STEPS_AN_OCTAVE * (LARGEST_EXPONENT - np.log2(scales)))
    return np.where(scales > 0, 1 + np.clip(steps, 0, 254), 0).astype(np.uint8)


def scales_of(codes: npt.NDArray[np.uint8]) -> FloatArray:
    """Scales that codes stand for."""
    exponents = LARGEST_EXPONENT - (codes.astype(np.float64) - 1) / STEPS_AN_OCTAVE
    scales: FloatArray = np.where(codes > 0, 2.0**exponents, 0.0).astype(np.float32)
    return scales
