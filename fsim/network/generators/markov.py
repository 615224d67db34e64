"""A Markov-modulated trace: a chain of rate states, log-normal variation within each, outages.

Bandwidth as a chain of states with variation around each state's rate is how traces are commonly
synthesised (Mao et al., "Neural adaptive video streaming with Pensieve", SIGCOMM 2017; Sun et al.,
"CS2P", SIGCOMM 2016, with a hidden Markov model of throughput). The outage state is one more state
of the chain, entered from and left to any other with a law of its own
(:mod:`fsim.network.generators.outages`).

Each second the chain stays where it is with probability ``stay``, and otherwise draws its state
anew from the stationary shares; its transition matrix is stay I + (1 - stay) 1 shares'. So the
shares are exact, a visit to state i lasts 1 / ((1 - stay) (1 - share_i)) seconds in the mean, and
the autocorrelation of log rate at lag k is f stay^k + (1 - f) within^k, f being the share of its
variance that lies between states, and ``within`` the correlation of neighbouring seconds within
one. So a trace can have a short memory and a long one, as recordings have. Neighbouring states are
not preferred.

Fitting (:meth:`MarkovTrace.fit`). Three states. Their shares are given; their rates are solved for
so that the mixture's 5%, 50% and 95% quantiles are the published ones (Newton's method), sigma so
that its mean is (the smallest that does, by bisection), and ``stay`` so that the autocorrelation at
one lag is, in closed form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.core.errors import TraceError
from fsim.network.generators.base import TraceGenerator
from fsim.network.generators.lognormal import MAX_SIGMA
from fsim.network.generators.outages import NONE, Outages
from fsim.network.generators.scores import (
    Floats,
    autoregressive,
    check_correlation,
    normal_cdf,
    ranks,
)

MAX_STATES = 16
_SIGMAS = np.linspace(0.02, 1.0, 50)

_PUBLISHED_SHARES = np.array([0.05, 0.5, 0.95])


@dataclass(frozen=True)
class MarkovTrace(TraceGenerator):
    """Rates of a chain of states.

    Attributes
    ----------
    mean
        Mbit/s of all seconds, outages included; the trace's own mean is exactly that.
    levels
        Median rate of each state; only their ratios count.
    shares
        Of the time outside outages that each state has.
    sigma
        Standard deviation of log rate within a state.
    stay
        Probability that a second's state is kept for the next, before drawing anew.
    within
        Correlation of neighbouring seconds of the variation within a state.
    outages
        The law of the outage state.

    Raises
    ------
    TraceError
        Levels, shares or a probability that make no such chain.
    """

    name: ClassVar[str] = "markov"

    mean: float
    levels: tuple[float, ...]
    shares: tuple[float, ...]
    sigma: float
    stay: float
    within: float = 0.0
    outages: Outages = NONE

    def __post_init__(self) -> None:
        if not 0 < self.mean < math.inf:
            raise TraceError(f"found a mean of {self.mean:g} Mbit/s, allowed is above 0")
        if not 0 < len(self.levels) == len(self.shares) <= MAX_STATES:
            raise TraceError(
                f"found {len(self.levels)} levels and {len(self.shares)} shares, "
                f"allowed are as many of one as of the other, 1 to {MAX_STATES}"
            )
        if not all(0 < level < math.inf for level in self.levels):
            raise TraceError(f"found levels {self.levels}, allowed are positive rates")
        if not (all(share > 0 for share in self.shares) and math.isclose(sum(self.shares), 1)):
            raise TraceError(f"found shares {self.shares}, allowed are positive ones of sum 1")
        if not 0 < self.sigma <= MAX_SIGMA:
            raise TraceError(
                f"found a sigma of {self.sigma:g}, allowed is above 0 to {MAX_SIGMA:g}"
            )
        check_correlation(self.stay)
        check_correlation(self.within)

    @property
    def between_share(self) -> float:
        """Share of the variance of log rate that lies between states."""
        between = _variance(np.log(self.levels), np.array(self.shares))
        return between / (between + self.sigma**2)

    def autocorrelation(self, lag: int) -> float:
        """Of log rate, outside outages, at a lag in seconds."""
        between = self.between_share
        return between * self.stay**lag + (1 - between) * self.within**lag

    @classmethod
    def fit(
        cls,
        mean: float,
        quantiles: tuple[float, float, float],
        autocorrelation: tuple[int, float],
        shares: tuple[float, float, float],
        within: float = 0.0,
        outages: Outages = NONE,
    ) -> MarkovTrace:
        """Three states with published statistics.

        Parameters
        ----------
        mean
            Mbit/s of all seconds.
        quantiles
            Mbit/s below which 5%, 50% and 95% of all seconds lie.
        autocorrelation
            A lag in seconds, and that of log rate outside outages there.
        shares
            Of the three states, slowest first.
        within
            As the attribute.
        outages
            Their law; a share below 5%.

        Raises
        ------
        TraceError
            No such chain has these statistics.
        """
        sigma, levels = _solve_mixture(mean, np.log(quantiles), np.array(shares), outages.share)
        spread = _variance(levels, np.array(shares))
        between = spread / (spread + sigma**2)
        lag, target = autocorrelation
        least = (1 - between) * within**lag
        if not least <= target < least + between:
            raise TraceError(
                f"found an autocorrelation of {target:g} at {lag} s, "
                f"allowed is {least:.3g} to below {least + between:.3g}"
            )
        stay = ((target - least) / between) ** (1 / lag)
        return cls(mean, tuple(np.exp(levels).tolist()), shares, sigma, stay, within, outages)

    def rates(self, seconds: int, rng: np.random.Generator) -> Floats:
        """Rates of consecutive seconds, Mbit/s, shape (seconds,)."""
        anew = rng.random(seconds) >= self.stay
        shares = np.array(self.shares)
        draws = rng.choice(len(shares), seconds, p=shares / shares.sum())
        states = draws[np.maximum.accumulate(np.where(anew, np.arange(seconds), 0))]
        logs = np.log(self.levels)[states] + self.sigma * autoregressive(seconds, self.within, rng)
        down = self.outages.draw(seconds, rng)
        up = ~down
        rates = np.zeros(seconds)
        rates[up] = self._quantile((ranks(logs[up]) + 0.5) / up.sum())
        return np.asarray(rates * (self.mean / rates.mean()))

    def _quantile(self, shares: Floats) -> Floats:
        """Rate below which a share of the seconds outside outages lies, in units of the levels."""
        logs = np.log(self.levels)
        steps = self.sigma * np.linspace(-8, 8, 2001)
        grid = np.unique(logs[:, None] + steps)
        below = normal_cdf((grid[:, None] - logs) / self.sigma) @ np.array(self.shares)
        return np.exp(np.interp(shares, below, grid))


def _variance(values: Floats, shares: Floats) -> float:
    return float(shares @ (values - shares @ values) ** 2)


def _solve_mixture(
    mean: float, targets: Floats, shares: Floats, outage: float
) -> tuple[float, Floats]:
    """The smallest sigma, and the log levels with it, of three states with these statistics.

    Parameters
    ----------
    mean
        Mbit/s.
    targets
        Log rates of the 5%, 50% and 95% quantiles.
    shares
        Of the states, outside outages.
    outage
        Share of outages.
    """
    weights = shares * (1 - outage)

    def mixture_mean(levels: Floats, sigma: float) -> float:
        return float(weights @ np.exp(levels)) * math.exp(sigma**2 / 2)

    narrow = wide = 0.0
    levels = targets
    for wide in _SIGMAS.tolist():
        solved = _solve_levels(targets, weights, outage, wide, levels)
        if solved is None or mixture_mean(solved, wide) < mean:
            break
        narrow, levels = wide, solved
    else:
        solved = None
    if solved is None or narrow == 0:
        raise TraceError(
            f"found a mean of {mean:g} Mbit/s, which no chain of states with shares "
            f"{tuple(shares.tolist())} and these quantiles has; allowed are other shares"
        )
    while wide - narrow > 1e-12:
        middle = (narrow + wide) / 2
        between = _solve_levels(targets, weights, outage, middle, levels)
        if between is not None and mixture_mean(between, middle) >= mean:
            narrow, levels = middle, between
        else:
            wide = middle
    return narrow, levels


def _solve_levels(
    targets: Floats, weights: Floats, outage: float, sigma: float, start: Floats
) -> Floats | None:
    """Log levels of the mixture with the target log quantiles, by damped Newton steps."""
    levels = start
    for _ in range(200):
        at = (targets[:, None] - levels) / sigma
        surplus = outage + normal_cdf(at) @ weights - _PUBLISHED_SHARES
        slopes = weights * np.exp(-(at**2) / 2) / (math.sqrt(2 * math.pi) * sigma)
        try:
            step = np.linalg.solve(slopes, surplus)
        except np.linalg.LinAlgError:
            return None
        if np.abs(surplus).max() < 1e-12 and np.abs(step).max() < 1e-9:
            return levels
        levels = levels + np.clip(step, -0.3 * sigma, 0.3 * sigma)
    return None
