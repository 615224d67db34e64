"""fsim: federated LLM fine-tuning in simulated seconds.

A scenario goes in, a SimPy clock runs, and out comes when each accuracy was reached, every byte,
second and gradient in between being real or accounted for.

    import fsim
    run = fsim.simulate("scenarios/quickstart.yaml", set={"protocol.rounds": 3})
    run.evaluations        # a pandas DataFrame
    run.plot()             # accuracy over simulated time
    run.save("runs/short")
    fsim.compare("scenarios/quickstart.yaml", ["float16", "qsgd:bits=2"], "runs/two").plot("pareto")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsim.compression import Policy, register
    from fsim.core.errors import FsimError
    from fsim.experiments.compare import compare
    from fsim.experiments.policies import parse_policies
    from fsim.experiments.run import Run, simulate
    from fsim.experiments.sweep import sweep
    from fsim.experiments.views import load
    from fsim.figures.registry import FIGURES
    from fsim.results.loading import load_runs
    from fsim.settings.loading import check_scenario, load_scenario
    from fsim.store import Store

    __version__: str

# Imported on first use: `import fsim` and `fsim --help` do not wait for PyTorch.
_WHERE = {
    "FIGURES": "fsim.figures.registry",
    "FsimError": "fsim.core.errors",
    "Policy": "fsim.compression",
    "Run": "fsim.experiments.run",
    "Store": "fsim.store",
    "check_scenario": "fsim.settings.loading",
    "compare": "fsim.experiments.compare",
    "load": "fsim.experiments.views",
    "load_runs": "fsim.results.loading",
    "load_scenario": "fsim.settings.loading",
    "parse_policies": "fsim.experiments.policies",
    "register": "fsim.compression",
    "simulate": "fsim.experiments.run",
    "sweep": "fsim.experiments.sweep",
}

__all__ = [
    "FIGURES",
    "FsimError",
    "Policy",
    "Run",
    "Store",
    "__version__",
    "check_scenario",
    "compare",
    "load",
    "load_runs",
    "load_scenario",
    "parse_policies",
    "register",
    "simulate",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("fsim")
    if name not in _WHERE:
        raise AttributeError(f"module 'fsim' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
