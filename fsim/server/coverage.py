"""Updates of which a part was lost on the way: what they say nothing of, they do not decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fsim.core.types import Coverage, Update


def mean_of_arrived(
    mean: Update, weights: Sequence[float], coverages: Sequence[Coverage | None], total: float
) -> Update:
    """A weighted mean with zeros in place of what is missing, made one over those who arrived.

    At each coordinate the weights of the clients from whom it is missing leave the denominator. One
    that came from nobody stays 0; where nothing is missing nothing changes, to the bit.

    Parameters
    ----------
    mean
        The weighted sum of the updates over ``total``.
    weights
        Of each client in the denominator.
    coverages
        What arrived of each update; None for all of it.
    total
        The denominator.
    """
    result: Update = {}
    for name, values in mean.items():
        missing: npt.NDArray[Any] = np.zeros(values.shape)
        for weight, coverage in zip(weights, coverages, strict=True):
            if coverage is not None:
                missing += weight * ~coverage[name]
        arrived = total - missing
        # What is left of weights that were added up in another order may be a rounding, not 0.
        factors = np.divide(
            total, arrived, out=np.zeros_like(arrived), where=arrived > 1e-9 * total
        )
        result[name] = (values * factors).astype(np.float32)
    return result


def trimmed_mean_of_arrived(
    values: npt.NDArray[np.float64], arrived: npt.NDArray[np.bool_], share: float
) -> npt.NDArray[np.float64]:
    """Over the first axis, the mean of those that arrived without the largest and the smallest.

    Parameters
    ----------
    values, arrived
        Of each client, shape (clients, ...).
    share
        Of those that arrived at a coordinate, cut off at each end, rounded down. Where nothing
        arrived the mean is 0.
    """
    ordered = np.sort(np.where(arrived, values, np.inf), axis=0)
    count = arrived.sum(axis=0)
    # 0.29 of 100 is 28.999999999999996 in binary and 29 to whoever wrote it.
    cut = (share * count + 1e-9).astype(np.int64)
    rank = np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    inside = (rank >= cut) & (rank < count - cut)
    sums = np.where(inside, ordered, 0.0).sum(axis=0)
    mean: npt.NDArray[np.float64] = sums / np.maximum(count - 2 * cut, 1)
    return mean
