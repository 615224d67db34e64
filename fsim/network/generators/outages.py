"""Outages of a link: an on/off process with an exact share of time without any capacity.

A two-state Markov chain (Gilbert, "Capacity of a burst-noise channel", Bell System Technical
Journal 39, 1960) has geometric outages and geometric times between them. Here it is conditioned on
its total time in outage, which is then the stated share to the second: geometric durations are
drawn until they fill that total, the last one cut to fit; and since geometric times between them,
given their sum, are equally likely to be any division of it, that division is drawn uniformly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fsim.core.errors import TraceError


@dataclass(frozen=True)
class Outages:
    """The law of outages.

    Attributes
    ----------
    share
        Of the seconds without capacity, 0 to below 1; 0 for none.
    mean
        Seconds of an outage, geometric, at least 1.
    longest
        Whole seconds: one outage lasts exactly that and none longer. The others are then geometric
        truncated there, of the same mean. None for no bound.

    Raises
    ------
    TraceError
        A value outside those bounds, or a mean above (1 + longest) / 2, which no geometric law
        truncated at ``longest`` has.
    """

    share: float = 0.0
    mean: float = 1.0
    longest: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise TraceError(f"found an outage share of {self.share:g}, allowed is 0 to below 1")
        if not 1 <= self.mean < math.inf:
            raise TraceError(f"found a mean outage of {self.mean:g} s, allowed is 1 s or more")
        if self.longest is not None and not 2 * self.mean <= 1 + self.longest:
            raise TraceError(
                f"found a mean outage of {self.mean:g} s and a longest of {self.longest} s, "
                f"allowed is a longest of at least {math.ceil(2 * self.mean - 1)} s"
            )

    def draw(self, seconds: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
        """Draw the seconds without capacity, shape (seconds,); the first and the last have some.

        Raises
        ------
        TraceError
            Too few seconds for the share, or the longest outage, to be kept.
        """
        down = np.zeros(seconds, dtype=np.bool_)
        if self.share == 0:
            return down
        total = round(self.share * seconds)
        least = self.longest or 1
        if total < least:
            raise TraceError(
                f"found {seconds} s, outages of up to {least} s in {self.share:.2%} of the time "
                f"need at least {least / self.share:.0f} s"
            )
        durations = self._durations(total, rng)
        up = seconds - total
        if up <= len(durations):
            raise TraceError(
                f"found {len(durations)} outages in {seconds} s, which leaves no time between them;"
                " allowed is a smaller share or a longer mean"
            )
        cuts = np.sort(rng.choice(up - 1, len(durations), replace=False)) + 1
        ends = np.cumsum(durations) + cuts
        for begin, end in zip(ends - durations, ends, strict=True):
            down[begin:end] = True
        return down

    def _durations(self, total: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Whole seconds that sum to ``total``, in random order."""
        first = [] if self.longest is None else [self.longest]
        rest = total - sum(first)
        if rest == 0:
            return np.array(first, dtype=np.int64)
        if self.longest is None:
            durations = rng.geometric(1 / self.mean, rest)
        else:
            possible = np.arange(1, self.longest + 1)
            durations = rng.choice(possible, rest, p=_truncated_geometric(self.mean, self.longest))
        reached = np.cumsum(durations)
        last = int(np.searchsorted(reached, rest))
        durations = durations[: last + 1]
        durations[-1] -= reached[last] - rest
        return rng.permutation(np.concatenate((np.array(first, dtype=np.int64), durations)))


NONE = Outages()
"""No outages."""


def _truncated_geometric(mean: float, longest: int) -> npt.NDArray[np.float64]:
    """Probabilities of 1 to ``longest``, falling by a constant ratio, that have the mean."""
    steps = np.arange(longest, dtype=np.float64)
    low, high = 0.0, 1.0
    for _ in range(60):
        ratio = (low + high) / 2
        weights = ratio**steps
        low, high = (ratio, high) if np.average(steps + 1, weights=weights) < mean else (low, ratio)
    weights = high**steps
    return np.asarray(weights / weights.sum())
