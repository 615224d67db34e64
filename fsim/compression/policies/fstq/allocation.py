"""Allocation of bits to coordinates: by percentile, or for a budget of bytes (steps 6, 10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fsim.compression.coding.vectors import largest
from fsim.compression.policies.fstq.quantiser import (
    TIERS,
    BitArray,
    Scaling,
    dequantise,
    quantise,
)
from fsim.core.types import FloatArray, Layout

Prices = Mapping[int, float]
"""Bits that a coordinate of each tier costs, all told; none for one that is not sent."""

_HALVINGS = 18


def by_percentile(importance: FloatArray, shares: Sequence[float]) -> BitArray:
    """Bits by rank of the importance u_j = F_j delta_j^2 (steps 5 and 6).

    Parameters
    ----------
    shares
        Of the coordinates, at 16, 4 and 2 bits, the most important first.
    """
    bits = np.zeros(len(importance), dtype=np.uint8)
    ends = [round(end) for end in np.cumsum(shares) * len(importance)]
    # From the last tier to the first, so that what is among the most important has its own.
    for tier, end in reversed(list(zip(TIERS, ends, strict=True))):
        if end:
            bits[largest(importance, end)] = tier
    return bits


def errors_of(
    vector: FloatArray, weights: FloatArray, layout: Layout, scaling: Scaling
) -> dict[int, npt.NDArray[np.float64]]:
    """F e^2 of each coordinate at each tier, and at 0 bits."""
    errors = {0: weights.astype(np.float64) * vector.astype(np.float64) ** 2}
    for tier in TIERS:
        decoded = dequantise(
            quantise(vector, weights, np.full(len(vector), tier, np.uint8), layout, scaling),
            layout,
            scaling,
        )
        errors[tier] = weights * (vector.astype(np.float64) - decoded) ** 2
    return errors


def for_budget(
    errors: Mapping[int, npt.NDArray[np.float64]],
    prices: Prices,
    length: Callable[[BitArray], int],
    budget: int,
) -> BitArray | None:
    """The allocation of least error whose payload is no longer than a budget.

    Greedy, as the paper has it: coordinates are raised in the order of how much error each bit
    takes away, until the budget is spent. Raising all whose gain is at least lambda a bit is the
    same as minimising error + lambda x bits for each, so lambda is found by bisection, and the
    payload is measured, metadata and all.

    Parameters
    ----------
    errors
        By tier, 0 included.
    prices
        Tiers that may be given, and what a coordinate of each costs.
    length
        Of the payload of an allocation.

    Returns
    -------
    numpy.ndarray or None
        Bits of each coordinate, uint8; None if not even a payload without any coordinate fits.
    """
    best = np.zeros(len(errors[0]), dtype=np.uint8)
    if length(best) > budget:
        return None
    gains = [
        (float(np.max((errors[0] - errors[tier]) / price, initial=0.0)), tier)
        for tier, price in prices.items()
    ]
    high = max(gain for gain, _ in gains)
    if high <= 0:
        return best
    low = high * 1e-12
    if length(full := _cheapest(errors, prices, low)) <= budget:
        return full
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        bits = _cheapest(errors, prices, middle)
        if length(bits) <= budget:
            best, high = bits, middle
        else:
            low = middle
    return best


def _cheapest(
    errors: Mapping[int, npt.NDArray[np.float64]], prices: Prices, price: float
) -> BitArray:
    """For each coordinate the tier that minimises error + price x bits, the fewest bits at ties."""
    tiers = [0, *sorted(prices)]
    costs = np.stack([errors[tier] + price * prices.get(tier, 0.0) for tier in tiers])
    bits: BitArray = np.array(tiers, dtype=np.uint8)[np.argmin(costs, axis=0)]
    return bits
