"""Correlated normal scores, and ranks that a law is laid over, for all generators.

A generator draws a process in time and then replaces its values, rank by rank, by the quantiles of
the law it stands for. So a trace of any length has the law's distribution, not a sample's, while
which second is fast and which slow is the process's. (Quantile mapping; with a Gaussian process
underneath it is the NORTA method of Cario and Nelson, INFORMS Journal on Computing 9, 1997.)
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from fsim.core.errors import TraceError

Floats = npt.NDArray[np.float64]

_NORMAL = NormalDist()


def autoregressive(seconds: int, correlation: float, rng: np.random.Generator) -> Floats:
    """A first-order autoregressive standard normal process, shape (seconds,).

    Its autocorrelation at lag k is ``correlation ** k``.

    Raises
    ------
    TraceError
        A correlation outside 0 to below 1.
    """
    check_correlation(correlation)
    noise = rng.standard_normal(seconds)
    z = np.empty(seconds)
    z[0] = noise[0]
    for t in range(1, seconds):
        z[t] = correlation * z[t - 1] + math.sqrt(1 - correlation**2) * noise[t]
    return z


def check_correlation(correlation: float) -> None:
    """Refuse, as a TraceError, what is no correlation of neighbouring seconds."""
    if not 0 <= correlation < 1:
        raise TraceError(f"found a correlation of {correlation:g}, allowed is 0 to below 1")


def ranks(values: Floats) -> npt.NDArray[np.int64]:
    """0 for the smallest value, 1 for the next, and so on."""
    return np.argsort(np.argsort(values))


def normal_quantile(shares: Floats) -> Floats:
    """The standard normal value below which each share lies."""
    return np.array([_NORMAL.inv_cdf(share) for share in shares.tolist()])


def normal_cdf(values: Floats) -> Floats:
    """The share of a standard normal below each value."""
    flat = [0.5 * math.erfc(-value / math.sqrt(2)) for value in values.ravel().tolist()]
    return np.array(flat).reshape(values.shape)
