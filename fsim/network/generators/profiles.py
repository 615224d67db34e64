"""The named traces: what each stands for, and the generator fitted to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fsim.network.generators.base import TraceGenerator
from fsim.network.generators.constant import ConstantTrace
from fsim.network.generators.lognormal import LogNormalTrace
from fsim.network.generators.markov import MarkovTrace
from fsim.network.generators.measure import Statistics
from fsim.network.generators.outages import Outages
from fsim.network.generators.populations import POPULATIONS, WITHIN_USER_SIGMA
from fsim.network.generators.quantiles import QuantileTrace
from fsim.network.generators.tiers import SOURCE, TIERS


@dataclass(frozen=True)
class Profile:
    """A trace by name.

    Attributes
    ----------
    source
        Of the statistics. It also names the random stream.
    published
        The statistics that the source tells, and that a trace of this profile has.
    generator
        The law fitted to them.
    note
        What else the trace's file says: above all what is chosen.
    seconds
        Length of the file that ships.
    folder
        Where in ``traces/`` that is.
    """

    source: str
    published: Statistics
    generator: TraceGenerator
    note: str = ""
    seconds: int = 1200
    folder: str = ""

    def path(self, name: str) -> str:
        """The file that ships, relative to ``traces/``."""
        return f"{self.folder}/{name}.csv" if self.folder else f"{name}.csv"


PACKET_RATE = 0.012
"""Mbit/s: one packet of 1500 bytes in a 1 s bin, the lowest rate that such a recording can have."""


def _chosen_correlation(source: str, generator: QuantileTrace) -> Profile:
    """Only quantiles and mean from the source; lowest rate and correlation are chosen."""
    g = generator
    return Profile(source, Statistics(g.mean, g.p5, g.p50, g.p95), g)


def _recording(source: str, generator: QuantileTrace) -> Profile:
    """All parameters measured over 1 s bins of a recording."""
    g = generator
    published = Statistics(
        g.mean,
        g.p5,
        g.p50,
        g.p95,
        g.outages.share or None,
        g.outages.longest,
        g.correlation,
    )
    note = f"all measured on the recording, as are its lowest ({g.lowest:g}) and highest rate"
    return Profile(source, published, g, f"{note} ({g.highest:g} Mbit/s)")


def _subway() -> Profile:
    """Mean and longest outage are published; everything else is chosen."""
    levels, shares = (0.3, 0.7, 1.2), (0.3, 0.4, 0.3)
    generator = MarkovTrace(0.72, levels, shares, 0.3, 0.9, 0.5, Outages(0.05, 6.0, 22))
    note = (
        "chosen: outages of 6 s in the mean, in 5% of the time; Markov states of relative rate "
        f"{levels} in shares {shares} of the rest, sigma 0.3, kept with probability 0.9 a second, "
        "correlation within a state 0.5"
    )
    published = Statistics(mean=0.72, longest_outage=22)
    return Profile("3G subway, NYU recording", published, generator, note)


def _lte_at_rest() -> Profile:
    """Three Markov states through the statistics of a recording whose memory is long."""
    published = Statistics(13.3, 2.5, 11.5, 27.5, correlation=0.89)
    generator = MarkovTrace.fit(13.3, (2.5, 11.5, 27.5), (10, 0.75), (0.2, 0.5, 0.3), 0.55)
    note = (
        "correlation, and 0.75 of log rate at 10 s, measured on the recording; chosen: Markov "
        "states in shares 0.2, 0.5, 0.3, correlation within a state 0.55"
    )
    return Profile("T-Mobile LTE stationary, mahimahi recording", published, generator, note)


def _median_user() -> Profile:
    """A user whose median rate is the median of all users' medians."""
    sigma = WITHIN_USER_SIGMA
    generator = LogNormalTrace(math.exp(sigma**2 / 2), sigma, 0.7)
    note = (
        f"chosen, as driving recordings have it: log-normal with sigma {sigma:g}, correlation 0.7; "
        "between users: traces/README.md"
    )
    source = "MobiPerf cellular, the median of 27 users"
    return Profile(source, Statistics(p50=1.0), generator, note)


def _profile_b() -> Profile:
    """The paper's example range, of clients, taken for the range in time as well."""
    law = POPULATIONS["paper-profile-b"]
    generator = LogNormalTrace(law.median * math.exp(law.sigma**2 / 2), law.sigma, 0.9)
    note = (
        "the paper's: 0.5 to 2 Mbit/s as an example, drawn for each client; chosen: its 5% and "
        "95% quantiles, log-normal, also in time, correlation 0.9"
    )
    source = "arXiv 2604.25421, profile B"
    return Profile(source, Statistics(p5=0.5, p95=2.0), generator, note)


def _constant(source: str, rate: float, note: str, folder: str = "") -> Profile:
    """One rate, Mbit/s, in the two rows that a trace needs at least."""
    return Profile(source, Statistics(mean=rate), ConstantTrace(rate), note, 2, folder)


PROFILES: dict[str, Profile] = {
    "lte-driving": _chosen_correlation(
        "ATT LTE driving 2016, mahimahi recording",
        QuantileTrace(1.91, 0.03, 1.57, 4.79, lowest=0.005, correlation=0.9),
    ),
    "lte-stationary": _chosen_correlation(
        "Verizon LTE stationary, mahimahi recording",
        QuantileTrace(5.95, 1.2, 5.7, 11.4, lowest=0.3, correlation=0.8),
    ),
    "att-lte-driving-2016": _recording(
        "mahimahi recording ATT-LTE-driving-2016, uplink",
        QuantileTrace(1.91, 0.03, 1.57, 4.79, PACKET_RATE, 0.50, 12.756, Outages(0.033, 1.0, 3)),
    ),
    "att-lte-driving": _recording(
        "mahimahi recording ATT-LTE-driving, uplink",
        QuantileTrace(0.83, 0.0, 1.04, 1.19, PACKET_RATE, 0.59, 1.296, Outages(0.093, 1.7, 78)),
    ),
    "tmobile-umts-driving": _recording(
        "mahimahi recording TMobile-UMTS-driving, uplink",
        QuantileTrace(0.94, 0.07, 1.08, 1.44, PACKET_RATE, 0.78, 1.488, Outages(0.029, 1.7, 5)),
    ),
    "verizon-evdo-driving": _recording(
        "mahimahi recording Verizon-EVDO-driving, uplink",
        QuantileTrace(0.84, 0.07, 0.96, 1.26, PACKET_RATE, 0.62, 1.776, Outages(0.028, 1.9, 11)),
    ),
    "3g-subway": _subway(),
    "verizon-lte-stationary": _recording(
        "mahimahi recording Verizon-LTE-short, uplink",
        QuantileTrace(5.95, 1.2, 5.7, 11.4, 0.396, 0.73, 12.948, Outages(0.007, 1.0, 1)),
    ),
    "tmobile-lte-stationary": _lte_at_rest(),
    "mobiperf-cellular": _median_user(),
    "paper-profile-a": _constant("arXiv 2604.25421, profile A", 20.0, "round trip: none given"),
    "paper-profile-b": _profile_b(),
    **{
        name: _constant(
            f"{SOURCE} {name}", tier.uplink / 1000, f"round trip: {tier.round_trip} ms", "tiers"
        )
        for name, tier in TIERS.items()
    },
}
"""Name -> profile, all of which ship in ``traces/``."""
