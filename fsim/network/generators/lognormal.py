"""A trace of log-normal rates: log rate is a Gaussian autoregression, with outages.

Log-normal is how throughput of mobile users is commonly found to vary (slow fading is log-normal:
Gudmundson, "Correlation model for shadow fading in mobile radio systems", Electronics Letters 27,
1991, which also has its exponential autocorrelation, that of a first-order autoregression).

Fitting. From a mean and the standard deviation of log rate, in closed form: outside outages the
median is mean / (1 - outage share) x exp(-sigma^2 / 2). From quantiles: :func:`fit_quantiles`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.core.errors import TraceError
from fsim.network.generators.base import TraceGenerator
from fsim.network.generators.outages import NONE, Outages
from fsim.network.generators.scores import Floats, autoregressive, normal_quantile, ranks

MAX_SIGMA = 5.0
"""Above it the mean of a trace would hang on one second."""


@dataclass(frozen=True)
class LogNormalTrace(TraceGenerator):
    """Log-normal rates in time.

    Attributes
    ----------
    mean
        Mbit/s of all seconds, outages included; the trace's own mean is exactly that.
    sigma
        Standard deviation of log rate outside outages.
    correlation
        Of log rate in neighbouring seconds.
    outages
        Their law.

    Raises
    ------
    TraceError
        A mean or sigma that is not positive, or a sigma above :data:`MAX_SIGMA`.
    """

    name: ClassVar[str] = "lognormal"

    mean: float
    sigma: float
    correlation: float
    outages: Outages = NONE

    def __post_init__(self) -> None:
        if not 0 < self.mean < math.inf:
            raise TraceError(f"found a mean of {self.mean:g} Mbit/s, allowed is above 0")
        if not 0 < self.sigma <= MAX_SIGMA:
            raise TraceError(
                f"found a sigma of {self.sigma:g}, allowed is above 0 to {MAX_SIGMA:g}"
            )

    @property
    def median(self) -> float:
        """Mbit/s, of the seconds outside outages."""
        return self.mean / (1 - self.outages.share) * math.exp(-(self.sigma**2) / 2)

    def rates(self, seconds: int, rng: np.random.Generator) -> Floats:
        """Rates of consecutive seconds, Mbit/s, shape (seconds,)."""
        z = autoregressive(seconds, self.correlation, rng)
        down = self.outages.draw(seconds, rng)
        up = ~down
        shares = (ranks(z[up]) + 0.5) / up.sum()
        rates = np.zeros(seconds)
        rates[up] = self.median * np.exp(self.sigma * normal_quantile(shares))
        return np.asarray(rates * (self.mean / rates.mean()))


def fit_quantiles(quantiles: Mapping[float, float]) -> tuple[float, float]:
    """Median and sigma of the log-normal closest to some quantiles.

    Least squares of log quantiles on normal quantiles: a straight line, in closed form. Two
    quantiles are met exactly.

    Parameters
    ----------
    quantiles
        Share, 0 to 1 exclusive -> rate; two or more.
    """
    scores = normal_quantile(np.array(list(quantiles)))
    logs = np.log(list(quantiles.values()))
    centred = scores - scores.mean()
    sigma = float(centred @ logs / (centred @ centred))
    return math.exp(float(logs.mean()) - sigma * float(scores.mean())), sigma
