"""One run, from a checked scenario to its folder of results."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fsim.core.registry import additions
from fsim.results.folders import replacing
from fsim.results.manifest import Identity
from fsim.results.saving import write_run
from fsim.settings.loading import LoadedScenario
from fsim.simulation.build import PreparedTask, prepare_task
from fsim.simulation.run import Progress, Run, simulate
from fsim.store import Store
from fsim.trackers import Tracker

VERSIONS_OF = ("fsim", "torch", "transformers", "peft", "simpy", "numpy")


def code_version() -> str:
    """SHA-256 of all that a run's results may rest on.

    That is this package's source, the versions of packages, and the source of what was registered.
    """
    own = [each.source for each in additions()]
    if not own:
        return _shipped_code()
    return hashlib.sha256("\0".join([_shipped_code(), *own]).encode()).hexdigest()


@functools.cache
def _shipped_code() -> str:
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not name.startswith(("cli/", "audit/")):
            digest.update(name.encode() + path.read_bytes())
    for name in VERSIONS_OF:
        digest.update(f"{name} {version(name)}".encode())
    return digest.hexdigest()


def run_to_folder(
    loaded: LoadedScenario,
    folder: Path,
    label: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    store: Store | None = None,
    *,
    prune: bool = True,
    build: Callable[[LoadedScenario], PreparedTask] = prepare_task,
    workers: int = 1,
    trackers: Sequence[Tracker] = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Run a scenario, write its results, and return its summary.

    Parameters
    ----------
    loaded
        The scenario.
    folder
        New, empty, or an earlier run's of the same scenario, which is replaced.
    label
        What tables and figures call the run; the policy's name if None.
    on_progress
        Called after each evaluation.
    store
        Where results of learning are looked up and kept.
    prune
        Whether the store is brought below its limit afterwards; not while others write to it.
    build
        Makes model and data ready; for callers who keep them from run to run.
    workers
        Processes that share training and evaluation.
    trackers
        TrackerGroup of the run while it goes on; no result depends on them.
    overwrite
        Whether results of another scenario, or of another kind, are replaced.

    Raises
    ------
    OutputError
        The folder holds something else, cannot be written, or another process is at work on it.
    ScenarioError
        The scenario cannot be run.
    """
    identity = run_identity(loaded)
    with replacing(folder, identity, overwrite=overwrite) as temporary:
        run = simulate(loaded, on_progress, store, build, workers, trackers)
        if store is not None and prune:
            store.tidy()
        summary = _summary(loaded, run, label, identity.digest)
        write_run(
            temporary,
            loaded.scenario.to_yaml(),
            run.records,
            run.evaluations,
            summary,
            run.save_adapter,
        )
    return summary


def run_identity(loaded: LoadedScenario) -> Identity:
    """What the results of a scenario's run are of."""
    return Identity("run", loaded.scenario.name, loaded.digest)


def _summary(loaded: LoadedScenario, run: Run, label: str | None, digest: str) -> dict[str, Any]:
    scenario = loaded.scenario
    return {
        "name": scenario.name,
        "label": label or scenario.compression.policy,
        "status": "completed" if run.failure is None else "failed",
        "failure": run.failure,
        "seed": scenario.seed,
        "task": scenario.task.name,
        "metric": scenario.metric,
        "target": scenario.target.value,
        "metrics": run.metrics.as_dict(),
        "facts": run.facts,
        "scenario_sha256": digest,
        "code_sha256": code_version(),
        "versions": {package: version(package) for package in VERSIONS_OF},
    }
