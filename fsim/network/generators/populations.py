"""Laws of clients' mean rates, for a scenario's ``uplink.mean``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fsim.network.generators.lognormal import fit_quantiles


@dataclass(frozen=True)
class Population:
    """A log-normal law of rates among clients.

    Attributes
    ----------
    source
        Of the quantiles, and how they are read.
    quantiles
        Share of clients -> Mbit/s; the law is the log-normal closest to them.
    mean_factor
        A client's mean rate over the rate that the quantiles are of.
    """

    source: str
    quantiles: Mapping[float, float]
    mean_factor: float = 1.0

    @property
    def median(self) -> float:
        """Mbit/s."""
        return fit_quantiles(self.quantiles)[0]

    @property
    def sigma(self) -> float:
        """Standard deviation of log rate."""
        return fit_quantiles(self.quantiles)[1]

    @property
    def law(self) -> str:
        """The law of clients' mean rates, as a scenario's ``uplink.mean`` has it."""
        return f"lognormal({self.median * self.mean_factor:.3g} Mbit/s, {self.sigma:.3g})"


WITHIN_USER_SIGMA = 0.8
"""Standard deviation of a user's log rate in time: chosen, as recorded driving uplinks have it."""

POPULATIONS: dict[str, Population] = {
    "mobiperf-cellular": Population(
        "MobiPerf, medians of 27 cellular users",
        {0.1: 0.07, 0.5: 1.0, 0.9: 6.4},
        math.exp(WITHIN_USER_SIGMA**2 / 2),
    ),
    "paper-profile-b": Population(
        "arXiv 2604.25421: drawn for each client, slow tail, e.g. 0.5 to 2 Mbit/s; "
        "log-normal, and the range the 5% and 95% quantiles of clients' means: chosen",
        {0.05: 0.5, 0.95: 2.0},
    ),
}
"""Name of the trace that goes with it -> law."""
