"""The composition root: runs the clock of a scenario's world."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fsim.core.errors import FsimError, OutputError, PolicyFailed, ScenarioError
from fsim.core.processes import WorkerEnded
from fsim.core.types import Update
from fsim.results.metrics import Metrics, measure
from fsim.settings.loading import LoadedScenario
from fsim.simulation.build import PreparedTask, prepare_task
from fsim.simulation.learner import RealLearner
from fsim.simulation.progress import Progress
from fsim.simulation.world import SimulatedWorld
from fsim.store import Store
from fsim.trackers import Tracker, TrackerGroup

__all__ = ["Progress", "RunResult", "run_world", "simulate"]


@dataclass(frozen=True)
class RunResult:
    """The result of a run, its clock stopped: tables, metrics and the global adapter.

    Attributes
    ----------
    records, evaluations
        Tables of the schema in :mod:`fsim.records`.
    metrics
        Read from them.
    adapter
        The global adapter at the end.
    failure
        The reason why the run could not go on, None if it did to its end.
    facts
        About the model and data: adapter parameters, shard sizes, prompts shortened.
    save_adapter
        Writes the adapter to a folder as peft does.
    """

    records: pd.DataFrame
    evaluations: pd.DataFrame
    metrics: Metrics
    adapter: Update
    failure: str | None
    facts: dict[str, Any]
    save_adapter: Callable[[Path], None]

    @property
    def status(self) -> str:
        """``"completed"``, or ``"failed"`` if it could not go on to its end."""
        return "completed" if self.failure is None else "failed"


def simulate(
    loaded: LoadedScenario,
    on_progress: Callable[[Progress], None] | None = None,
    store: Store | None = None,
    build: Callable[[LoadedScenario], PreparedTask] = prepare_task,
    workers: int = 1,
    trackers: Sequence[Tracker] = (),
) -> RunResult:
    """Run a scenario.

    The same scenario gives the same records and the same adapter, to the bit, on the same machine
    with the same package versions.

    Parameters
    ----------
    loaded
        From :func:`fsim.settings.loading.load_scenario` or
        :func:`fsim.settings.loading.check_scenario`.
    on_progress
        Called after each evaluation, and about twice a second while none is made.
    store
        Training results and evaluations found there are not computed again: a run that was killed
        goes on where it was, to the same result.
    build
        Makes model and data ready; for callers with one of them for many runs.
    workers
        Processes that share training and evaluation, this one included; on Linux and without a GPU,
        elsewhere there is one. No result depends on their number.
    trackers
        Follow the run while it goes on (:class:`fsim.trackers.Tracker`). No result depends on
        them; one that raises is named in a warning, and called no more.

    Raises
    ------
    ScenarioError
        The scenario cannot be run with the task's data or the model as they are, or workers with
        more threads than one each.
    PolicyFailed
        A fault in the code of a compression policy; the original exception is its cause.
    WorkerEnded
        One of the other processes was killed.
    """
    threads = loaded.scenario.training.threads
    if workers < 1 or (workers > 1 and threads > 1):
        raise ScenarioError(
            f"--workers: found {workers}, allowed is 1 or more, and 1 with training.threads above "
            f"1, which is {threads}"
        )
    # Sums are split among threads: their number is part of the result.
    torch.set_num_threads(threads)
    tracker = TrackerGroup(trackers)
    with closing(RealLearner(loaded, store, build, workers)) as learner, _stop_reported(tracker):
        tracker.start(loaded.scenario.model_dump(mode="json"))
        result = run_world(SimulatedWorld(loaded, learner, on_progress, tracker))
    tracker.finish(
        {
            "status": result.status,
            "failure": result.failure,
            "metrics": result.metrics.as_dict(),
            "facts": result.facts,
        }
    )
    return result


@contextmanager
def _stop_reported(tracker: TrackerGroup) -> Iterator[None]:
    """Report an exception that ends a run before its end to trackers, as the last of it."""
    try:
        yield
    except BaseException as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        tracker.finish({"status": "stopped", "failure": reason, "metrics": {}, "facts": {}})
        raise


def run_world(world: SimulatedWorld) -> RunResult:
    """Run a world that has been built, with whatever learner and clients it was built from.

    :func:`simulate` does so with the scenario's own.
    """
    failure = None
    world.evaluate(0)
    try:
        world.run()
    except (OutputError, WorkerEnded):
        raise  # nothing of the scenario's: the same run goes on where it was
    except PolicyFailed as error:
        first = _first(error)
        raise first from first.__cause__
    except FsimError as error:
        failure = str(error)
    world.close()
    records, evaluations = world.recorder.records(), world.recorder.evaluations()
    target = world.scenario.target
    return RunResult(
        records=records,
        evaluations=evaluations,
        metrics=measure(
            records,
            evaluations,
            target.value,
            target.window,
            {"time_s": world.env.now, **world.recorder.totals()},
        ),
        adapter=world.adapter,
        failure=failure,
        facts=world.facts,
        save_adapter=partial(world.learner.save, world.adapter),
    )


def _first(error: PolicyFailed) -> PolicyFailed:
    """The fault as it was raised: SimPy makes a copy of it for each process that it ends."""
    while isinstance(error.__cause__, PolicyFailed):
        error = error.__cause__
    return error
