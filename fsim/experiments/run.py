"""One run, from a checked scenario to its folder of results."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fsim.results.output import check_folder, replacing, write_run
from fsim.scenario import LoadedScenario
from fsim.simulation import Progress, simulate
from fsim.store import DEFAULT_LIMIT, Store

VERSIONS_OF = ("fsim", "torch", "transformers", "peft", "simpy", "numpy")


def run_to_folder(
    loaded: LoadedScenario,
    folder: Path,
    label: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    store: Store | None = None,
) -> dict[str, Any]:
    """Run a scenario, write its results, and return its summary.

    Parameters
    ----------
    loaded
        The scenario.
    folder
        New, empty, or an earlier run's, which is replaced.
    label
        What tables and figures call the run; the policy's name if None.
    on_progress
        Called after each evaluation.
    store
        Where results of learning are looked up and kept.

    Raises
    ------
    OutputError
        The folder holds something else, or cannot be written.
    ScenarioError
        The scenario cannot be run.
    """
    check_folder(folder)
    scenario = loaded.scenario
    run = simulate(loaded, on_progress, store)
    if store is not None:
        store.prune(DEFAULT_LIMIT)
    summary = {
        "name": scenario.name,
        "label": label or scenario.compression.policy,
        "status": "completed" if run.failure is None else "failed",
        "failure": run.failure,
        "task": scenario.task.name,
        "metric": scenario.metric,
        "target": scenario.target.value,
        "metrics": run.metrics.as_dict(),
        "facts": run.facts,
        "scenario_sha256": loaded.digest,
        "versions": {package: version(package) for package in VERSIONS_OF},
    }
    with replacing(folder) as temporary:
        write_run(
            temporary,
            scenario.to_yaml(),
            run.records,
            run.evaluations,
            summary,
            run.save_adapter,
        )
    return summary
