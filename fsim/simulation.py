"""The composition root: runs the clock of a scenario's world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fsim.assembly import Workbench, build_workbench
from fsim.errors import FsimError, OutputError
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

    Raises
    ------
    ScenarioError
        The scenario cannot be run with the task's data or the model as they are.
    """
    # Sums are split among threads: their number is part of the result.
    torch.set_num_threads(loaded.scenario.training.threads)
    learner = RealLearner(loaded, store, build)
    world = SimulatedWorld(loaded, learner, on_progress)
    failure = None
    world.evaluate(0)
    protocol = loaded.scenario.protocol.make()
    try:
        world.env.run(world.env.process(protocol.run(world.env, world)))
        world.close()
    except OutputError:
        raise  # of the store: nothing that could be recorded could be kept either
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
