"""A sign a coordinate and a scale a matrix: one bit for each coordinate on the wire."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fsim.compression.coding.vectors import expand, finite_array, narrow
from fsim.compression.coding.wire import Section, pack, pack_bits, unpack, unpack_bits
from fsim.core.types import Layout, Update


def mean_magnitudes(vector: npt.NDArray[np.float32], layout: Layout) -> npt.NDArray[np.float64]:
    """Each matrix's mean magnitude, shape ``(matrices,)``, of the flat vector of all."""
    sums = np.add.reduceat(np.abs(vector), layout.bounds[:-1], dtype=np.float64)
    means: npt.NDArray[np.float64] = sums / np.diff(layout.bounds)
    return means


def pack_signs(
    policy: str,
    layout: Layout,
    scales: npt.NDArray[np.floating],
    negative: npt.NDArray[np.bool_],
) -> bytes:
    """The payload of a policy that sends signs and a float32 scale for each matrix.

    Parameters
    ----------
    scales
        One a matrix, shape ``(matrices,)``.
    negative
        Where the sign is a minus, shape ``(layout.size,)``.

    Raises
    ------
    ValueError
        A scale is too large for a float32.
    """
    return pack(
        policy,
        layout,
        {Section.SCALES: narrow(policy, scales, "<f4"), Section.VALUES: pack_bits(negative, 1)},
    )


def unpack_signs(policy: str, payload: bytes, layout: Layout) -> Update:
    """Signs times their matrix's scale.

    Raises
    ------
    PayloadError
        The bytes are not what :func:`pack_signs` makes for this policy and layout.
    """
    sections = unpack(payload, policy, layout)
    scales = finite_array(sections, Section.SCALES, "<f4", len(layout.tensors))
    negative = unpack_bits(sections.get(Section.VALUES, b""), layout.size, 1)
    return layout.unflatten(np.array([1, -1], np.float32)[negative] * expand(scales, layout))
