"""fsim: federated LLM fine-tuning in simulated seconds.

A scenario goes in, a SimPy clock runs, and out comes when each accuracy was reached, every byte,
second and gradient in between being real or accounted for.

    import fsim
    loaded = fsim.load_scenario(Path("scenarios/quickstart.yaml"), ["protocol.rounds=3"])
    run = fsim.simulate(loaded)
    run.evaluations        # a pandas DataFrame
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsim.experiments.compare import compare, parse_policies
    from fsim.experiments.sweep import sweep
    from fsim.figures.registry import FIGURES
    from fsim.results.loading import load, load_runs
    from fsim.settings.loading import check_scenario, load_scenario
    from fsim.simulation.run import simulate

__version__ = version("fsim")

# Imported on first use: `import fsim` and `fsim --help` do not wait for PyTorch.
_WHERE = {
    "FIGURES": "fsim.figures.registry",
    "check_scenario": "fsim.settings.loading",
    "compare": "fsim.experiments.compare",
    "load": "fsim.results.loading",
    "load_runs": "fsim.results.loading",
    "load_scenario": "fsim.settings.loading",
    "parse_policies": "fsim.experiments.compare",
    "simulate": "fsim.simulation.run",
    "sweep": "fsim.experiments.sweep",
}

__all__ = [
    "FIGURES",
    "__version__",
    "check_scenario",
    "compare",
    "load",
    "load_runs",
    "load_scenario",
    "parse_policies",
    "simulate",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'fsim' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
