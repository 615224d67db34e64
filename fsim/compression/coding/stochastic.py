"""Rounding by chance, so that the expectation of what is sent is the value itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fsim.core.types import FloatArray


def round_by_chance(
    magnitudes: FloatArray, scales: FloatArray, levels: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """A level of 0 to ``levels`` for each coordinate: its magnitude over its scale, up or down.

    Alistarh et al., "QSGD", NeurIPS 2017, section 3.1: the level below, raised by one with the
    probability of the fraction, so that ``levels * magnitude / scale`` is the expectation.

    Parameters
    ----------
    magnitudes, scales
        The same shape, no magnitude above its scale; where the scale is 0 the level is 0.
    """
    scaled = magnitudes / np.where(scales > 0, scales, 1)
    # One uniform number a coordinate.
    rounded = np.floor(scaled * levels + rng.random(len(magnitudes)))
    return np.minimum(rounded, levels).astype(np.int64)
