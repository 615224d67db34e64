"""Operations on flat vectors for most policies: check, scale by matrix, pick the largest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fsim.compression.coding.wire import Section, section_array
from fsim.core.errors import PayloadError
from fsim.core.types import FloatArray, Layout, Update


def finite_vector(policy: str, layout: Layout, update: Update) -> FloatArray:
    """All coordinates of an update as one vector of its own.

    Raises
    ------
    ValueError
        A coordinate is NaN or infinite.
    """
    vector = layout.flatten(update)
    # Infinities and NaN survive a sum; one pass tells of both.
    if not np.isfinite(np.sum(np.abs(vector), dtype=np.float64)):
        bad = vector[~np.isfinite(vector)][0]
        raise ValueError(f"{policy} cannot express {bad:g}, allowed are finite numbers")
    return vector


def narrow(policy: str, values: npt.NDArray[np.floating], dtype: str) -> bytes:
    """Numbers as the bytes of a narrower little-endian floating-point type, to nearest.

    Raises
    ------
    ValueError
        One of them is too large for that type.
    """
    with np.errstate(over="ignore"):
        narrowed = values.astype(dtype)
    if not np.all(np.isfinite(narrowed)):
        largest = float(np.max(np.abs(values)))
        raise ValueError(f"{policy} cannot express {largest:g} in {np.dtype(dtype).name}")
    return narrowed.tobytes()


def finite_array(
    sections: Mapping[Section, bytes], kind: Section, dtype: str, count: int
) -> FloatArray:
    """A section of ``count`` floating-point numbers, as float32.

    Raises
    ------
    PayloadError
        The section is missing, has another length, or holds a NaN or an infinity.
    """
    values = section_array(sections, kind, dtype, count).astype(np.float32, copy=False)
    if not np.all(np.isfinite(values)):
        raise PayloadError(f"section {kind.name.lower()} holds a number that is not finite")
    return values


def expand(per_matrix: npt.NDArray[np.float32], layout: Layout) -> FloatArray:
    """One number a matrix as one a coordinate, shape ``(layout.size,)``."""
    return np.repeat(per_matrix, np.diff(layout.bounds))


def largest(vector: FloatArray, count: int) -> npt.NDArray[np.bool_]:
    """Mask of the ``count`` largest magnitudes; ties go to the first, so it is so everywhere."""
    magnitudes = np.abs(vector)
    threshold = np.partition(magnitudes, len(vector) - count)[len(vector) - count]
    mask: npt.NDArray[np.bool_] = magnitudes > threshold
    ties = np.flatnonzero(magnitudes == threshold)
    mask[ties[: count - int(mask.sum())]] = True
    return mask


def share_of(ratio: float, size: int) -> int:
    """Coordinates that a share of ``size`` stands for, at least one."""
    return max(1, round(ratio * size))
