"""A trace with published quantiles: a Gaussian autoregression mapped to them, with outages.

The rate of second t is Q(r_t): r_t is the rank of z_t among all seconds as a share, z a first-order
autoregressive Gaussian process, and Q the quantile function through the published quantiles. Of Q
one quantity is free, and is solved for so that Q has the published mean:

- where the highest rate is not known, that rate; between its nodes Q is then linear in log rate;
- where it is, the power to which Q is linear between its nodes (Box and Cox, "An analysis of
  transformations", JRSS B 26, 1964): 1 is linear, above it bulges towards high rates, and in the
  limit of 0 it is linear in log rate.

Seconds in outage have rate 0 and are the lowest shares of Q.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.core.errors import TraceError
from fsim.network.generators.base import TraceGenerator
from fsim.network.generators.outages import NONE, Outages
from fsim.network.generators.scores import Floats, autoregressive, ranks

_POWERS = (0.0, 20.0)


@dataclass(frozen=True)
class QuantileTrace(TraceGenerator):
    """Published statistics of an uplink over 1 s bins, in Mbit/s, and how to go through them.

    Attributes
    ----------
    mean, p5, p50, p95
        Of all seconds, outages included.
    lowest
        The lowest rate outside outages.
    correlation
        Of the Gaussian process in neighbouring seconds.
    highest
        The highest rate; None to solve for it.
    outages
        Their law; where they take 5% of the time or more, ``p5`` is 0.
    """

    name: ClassVar[str] = "quantiles"

    mean: float
    p5: float
    p50: float
    p95: float
    lowest: float
    correlation: float
    highest: float | None = None
    outages: Outages = NONE

    def __post_init__(self) -> None:
        if (self.p5 == 0) != (self.outages.share >= 0.05):
            raise TraceError(
                f"found p5 {self.p5:g} Mbit/s with outages in {self.outages.share:.1%} of the time"
            )
        rates = [rate for _, rate in self._inner()]
        rates += [] if self.highest is None else [self.highest]
        if not (0 < self.lowest <= rates[0] and sorted(rates) == rates):
            raise TraceError(
                f"found quantiles {rates} above a lowest rate of {self.lowest:g} Mbit/s, "
                "allowed are positive ones that do not decrease"
            )

    def _inner(self) -> list[tuple[float, float]]:
        """Shares and rates of the published quantiles that lie outside outages."""
        quantiles = [(0.05, self.p5), (0.5, self.p50), (0.95, self.p95)]
        return [(share, rate) for share, rate in quantiles if share > self.outages.share]

    def quantile(self, shares: Floats, highest: float, power: float) -> Floats:
        """Q: Mbit/s below which a share of all seconds lies, for shares outside outages."""
        at, rates = zip(*self._inner(), strict=True)
        nodes = np.array([self.outages.share, *at, 1.0])
        values = np.array([self.lowest, *rates, highest])
        if power == 0:
            return np.asarray(np.exp(np.interp(shares, nodes, np.log(values))))
        scaled = np.interp(shares, nodes, (values / highest) ** power)
        return np.asarray(highest * scaled ** (1 / power))

    def solve(self) -> tuple[float, float]:
        """The highest rate (Mbit/s) and the power for which Q has the published mean.

        Raises
        ------
        TraceError
            No value of the free one reaches that mean.
        """
        grid = (np.arange(200_000) + 0.5) / 200_000
        shares = grid[grid > self.outages.share]

        def mean(highest: float, power: float) -> float:
            return float(self.quantile(shares, highest, power).sum() / len(grid))

        highest = self.highest
        if highest is None:
            bounds = (self.p95, self.p95 * 1000)
            return self._bisect(lambda top: mean(top, 0.0), bounds), 0.0
        return highest, self._bisect(lambda power: mean(highest, power), _POWERS)

    def _bisect(self, mean: Callable[[float], float], bounds: tuple[float, float]) -> float:
        """Argument at which an increasing mean reaches the published one."""
        low, high = bounds
        if not mean(low) <= self.mean <= mean(high):
            raise TraceError(
                f"found a mean of {self.mean:g} Mbit/s, "
                f"its quantiles allow {mean(low):.2f} to {mean(high):.2f}"
            )
        while high - low > 1e-9 * max(high, 1e-3):
            middle = (low + high) / 2
            low, high = (middle, high) if mean(middle) < self.mean else (low, middle)
        return low

    def rates(self, seconds: int, rng: np.random.Generator) -> Floats:
        """Rates of consecutive seconds, Mbit/s, shape (seconds,)."""
        z = autoregressive(seconds, self.correlation, rng)
        down = self.outages.draw(seconds, rng)
        highest, power = self.solve()
        shares = (ranks(z[~down]) + down.sum() + 0.5) / seconds
        rates = np.zeros(seconds)
        rates[~down] = self.quantile(shares, highest, power)
        return rates
