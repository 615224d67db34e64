"""The generators of traces by name."""

from __future__ import annotations

from fsim.core.registry import Registry
from fsim.network.generators.base import TraceGenerator
from fsim.network.generators.constant import ConstantTrace
from fsim.network.generators.lognormal import LogNormalTrace
from fsim.network.generators.markov import MarkovTrace
from fsim.network.generators.quantiles import QuantileTrace

GENERATORS: Registry[TraceGenerator] = Registry(
    "trace",
    TraceGenerator,
    "fsim.network.generators.TraceGenerator",
    (ConstantTrace, LogNormalTrace, MarkovTrace, QuantileTrace),
    in_results=False,  # a run rests on what is in the file
    defaults=False,
)
"""Name -> law. The traces that ship are in :mod:`fsim.network.generators.profiles`."""
