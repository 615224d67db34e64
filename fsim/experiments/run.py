"""One run, as users have it: simulated, looked at, and saved to its folder of results."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fsim.core.registry import additions
from fsim.experiments.views import Viewable
from fsim.results.folders import replacing
from fsim.results.loading import Results, load
from fsim.results.manifest import Identity
from fsim.results.saved_run import SavedRun
from fsim.results.saving import write_run
from fsim.settings.loading import Changes, LoadedScenario, ScenarioLike, as_loaded
from fsim.simulation import run as simulation
from fsim.simulation.build import PreparedTask, prepare_task
from fsim.simulation.run import Progress, RunResult
from fsim.store import Store, as_store
from fsim.trackers import Tracker, make_tracker

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


@dataclass(frozen=True, repr=False)
class Run(Viewable, RunResult):
    """A finished run: its tables, metrics and adapter, to be looked at and saved.

    Shown in a notebook it is a table of its metrics and its accuracy over time.

    Attributes
    ----------
    loaded
        The scenario that was run.
    summary
        What ``summary.json`` says of it.
    """

    loaded: LoadedScenario
    summary: dict[str, Any]

    @functools.cached_property
    def results(self) -> Results:
        """The run as :func:`fsim.load` gives it, whether it has been saved or not."""
        scenario = self.loaded.scenario.to_yaml()
        run = SavedRun.in_memory(self.summary, scenario, self.records, self.evaluations)
        return Results([run])

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the folder that ``fsim run`` writes: tables, summary, adapter and figures.

        Parameters
        ----------
        folder
            New, empty, or an earlier run's of the same scenario, which is replaced.
        overwrite
            Whether results of another scenario, or of another kind, are replaced.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputError
            It holds something else, cannot be written, or another process is at work on it.
        """
        from fsim.figures.registry import save_figures

        place = Path(folder)
        with replacing(place, run_identity(self.loaded), overwrite=overwrite) as temporary:
            self.write(temporary)
        save_figures(load(place), place)
        return place

    def write(self, folder: Path) -> None:
        """Write the run's files into a folder that exists, without figures."""
        write_run(
            folder,
            self.loaded.scenario.to_yaml(),
            self.records,
            self.evaluations,
            self.summary,
            self.save_adapter,
        )

    def __repr__(self) -> str:
        final = self.metrics.final_accuracy
        accuracy = "" if final is None else f", final accuracy {final:.1%}"
        rounds = self.evaluations["round"].max()
        return (
            f"<Run of {self.summary['name']}, {self.summary['label']}: {self.status}, "
            f"{rounds} rounds{accuracy}>"
        )


def simulate(
    scenario: ScenarioLike,
    on_progress: Callable[[Progress], None] | None = None,
    store: Store | Path | str | None = None,
    build: Callable[[LoadedScenario], PreparedTask] = prepare_task,
    workers: int = 1,
    trackers: Sequence[Tracker | str] = (),
    *,
    set: Changes = (),
) -> Run:
    """Run a scenario.

    The same scenario gives the same records and the same adapter, to the bit, on the same machine
    with the same package versions.

    Parameters
    ----------
    scenario
        A path, nested mappings, or a loaded scenario (:func:`fsim.settings.loading.as_loaded`).
    on_progress
        Called after each evaluation, and about twice a second while none is made.
    store
        Where results of learning are looked up and kept, so that a run that was killed goes on
        where it was, to the same result: a store, a folder, a URL or ``"none"``; ``FSIM_STORE`` or
        a cache by default (:func:`fsim.store.as_store`).
    build
        Makes model and data ready; for callers who keep them from run to run.
    workers
        Processes that share training and evaluation, this one included; on Linux and without a GPU,
        elsewhere there is one. No result depends on their number.
    trackers
        Told of the run while it goes on: objects (:class:`fsim.trackers.Tracker`), or ``NAME`` or
        ``NAME:PLACE`` as the command line has them. No result depends on them; one that raises is
        named in a warning, and told no more.
    set
        Keys of the scenario that get other values: ``{"protocol.rounds": 3}``, or
        ``["protocol.rounds=3"]`` as the command line has it.

    Returns
    -------
    Run
        With its tables, also if it could not go on to its end (``failure``).

    Raises
    ------
    ScenarioError
        The scenario cannot be run as it is, or workers with more threads than one each.
    PolicyFailed
        A fault in the code of a compression policy; the original exception is its cause.
    WorkerEnded
        One of the other processes was killed.
    """
    loaded, open_store = as_loaded(scenario, set), as_store(store)
    all_trackers = [make_tracker(each) if isinstance(each, str) else each for each in trackers]
    run = _run(loaded, None, on_progress, open_store, build, workers, all_trackers)
    if open_store is not None:
        open_store.tidy()
    return run


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
        Told of the run while it goes on; no result depends on them.
    overwrite
        Whether results of another scenario, or of another kind, are replaced.

    Raises
    ------
    OutputError
        The folder holds something else, cannot be written, or another process is at work on it.
    ScenarioError
        The scenario cannot be run.
    """
    with replacing(folder, run_identity(loaded), overwrite=overwrite) as temporary:
        run = _run(loaded, label, on_progress, store, build, workers, trackers)
        if store is not None and prune:
            store.tidy()
        run.write(temporary)
    return run.summary


def run_identity(loaded: LoadedScenario) -> Identity:
    """The identity of the results of a scenario's run."""
    return Identity("run", loaded.scenario.name, loaded.digest)


def _run(
    loaded: LoadedScenario,
    label: str | None,
    on_progress: Callable[[Progress], None] | None,
    store: Store | None,
    build: Callable[[LoadedScenario], PreparedTask],
    workers: int,
    trackers: Sequence[Tracker],
) -> Run:
    result = simulation.simulate(loaded, on_progress, store, build, workers, trackers)
    return Run(**vars(result), loaded=loaded, summary=_summary(loaded, result, label))


def _summary(loaded: LoadedScenario, run: RunResult, label: str | None) -> dict[str, Any]:
    scenario = loaded.scenario
    return {
        "name": scenario.name,
        "label": label or scenario.compression.policy,
        "status": run.status,
        "failure": run.failure,
        "seed": scenario.seed,
        "task": scenario.task.name,
        "metric": scenario.metric,
        "target": scenario.target.value,
        "metrics": run.metrics.as_dict(),
        "facts": run.facts,
        "scenario_sha256": loaded.digest,
        "code_sha256": code_version(),
        "versions": {package: version(package) for package in VERSIONS_OF},
    }
