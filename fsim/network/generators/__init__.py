"""Generators of capacity traces: laws of rates in time with the statistics of real uplinks.

A generator a module, by name in :mod:`registry`: :mod:`quantiles` goes through published quantiles,
:mod:`lognormal` is a log-normal autoregression, :mod:`markov` a chain of rate states,
:mod:`constant` one rate. Each says where it is from and how it is fitted. :mod:`profiles` names the
traces that ship.

    fsim trace generate lte-driving --seed 0 --seconds 600 --out FILE.csv
    python -m fsim.network.generators lte-driving --seed 0 --seconds 600 --out FILE.csv
"""

from fsim.network.generators.base import TraceGenerator
from fsim.network.generators.constant import ConstantTrace
from fsim.network.generators.lognormal import LogNormalTrace
from fsim.network.generators.markov import MarkovTrace
from fsim.network.generators.measure import Statistics, measure
from fsim.network.generators.outages import Outages
from fsim.network.generators.populations import POPULATIONS
from fsim.network.generators.profiles import PROFILES, Profile
from fsim.network.generators.quantiles import QuantileTrace
from fsim.network.generators.registry import GENERATORS
from fsim.network.generators.tiers import TIERS, Tier
from fsim.network.generators.writing import generate, save, trace_text, write_csv

__all__ = [
    "GENERATORS",
    "POPULATIONS",
    "PROFILES",
    "TIERS",
    "ConstantTrace",
    "LogNormalTrace",
    "MarkovTrace",
    "Outages",
    "Profile",
    "QuantileTrace",
    "Statistics",
    "Tier",
    "TraceGenerator",
    "generate",
    "measure",
    "save",
    "trace_text",
    "write_csv",
]
