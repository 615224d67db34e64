"""The composition root: runs the clock of a scenario's world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fsim.assembly import Workbench, build_workbench
from fsim.errors import FsimError, OutputError, ScenarioError
from fsim.processes import WorkerEnded
from fsim.results.metrics import Metrics, measure
from fsim.scenario import LoadedScenario
from fsim.store import Store
from fsim.vocabulary import Update
from fsim.world import Progress, SimulatedWorld
from fsim.world.learner import RealLearner

__all__ = ["Progress", "Run", "simulate"]


@dataclass(frozen=True)
class Run:
    """What a run left.

    Attributes
    ----------
    records, evaluations
        Tables of the schema in :mod:`fsim.results.records`.
    metrics
        Read from them.
    adapter
        The global adapter at the end.
    failure
        Why the run could not go on, None if it did to its end.
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


def simulate(
    loaded: LoadedScenario,
    on_progress: Callable[[Progress], None] | None = None,
    store: Store | None = None,
    build: Callable[[LoadedScenario], Workbench] = build_workbench,
    workers: int = 1,
) -> Run:
    """Run a scenario.

    The same scenario gives the same records and the same adapter, to the bit, on the same machine
    with the same package versions.

    Parameters
    ----------
    loaded
        From :func:`fsim.scenario.load_scenario` or :func:`fsim.scenario.check_scenario`.
    on_progress
        Called after each evaluation.
    store
        Training results and evaluations found there are not computed again: a run that was killed
        goes on where it was, to the same result.
    build
        Makes model and data ready; for callers who keep them from run to run.
    workers
        Processes that share training and evaluation, this one included; on Linux and without a GPU,
        elsewhere there is one. No result depends on their number.

    Raises
    ------
    ScenarioError
        The scenario cannot be run with the task's data or the model as they are, or workers with
        more threads than one each.
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
    learner = RealLearner(loaded, store, build, workers)
    try:
        return _run(loaded, learner, on_progress)
    finally:
        learner.close()


def _run(
    loaded: LoadedScenario, learner: RealLearner, on_progress: Callable[[Progress], None] | None
) -> Run:
    world = SimulatedWorld(loaded, learner, on_progress)
    failure = None
    world.evaluate(0)
    protocol = loaded.scenario.protocol.make()
    try:
        world.env.run(world.env.process(protocol.run(world.env, world)))
        world.close()
    except (OutputError, WorkerEnded):
        raise  # nothing of the scenario's: the same run goes on where it was
    except FsimError as error:
        failure = str(error)
    records, evaluations = world.recorder.records(), world.recorder.evaluations()
    return Run(
        records=records,
        evaluations=evaluations,
        metrics=measure(records, evaluations, loaded.scenario.target.value),
        adapter=world.adapter,
        failure=failure,
        facts=world.facts,
        save_adapter=lambda folder: learner.save(world.adapter, folder),
    )
