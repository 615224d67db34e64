"""Running one case, and the book of it: all that is known of the run when it is over."""

from __future__ import annotations

import signal
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd

from fsim.core.types import Update
from fsim.settings import Scenario
from fsim.settings.loading import LoadedScenario
from fsim.simulation.build import build_shared_links
from fsim.simulation.client_counts import ClientCounts
from fsim.simulation.run import run_world
from fsim.store.memory_cache import MemoryCache
from tests.exploration.cases import Case
from tests.exploration.learner import RecordedLearner
from tests.exploration.watching import Stalled, TooLong, Watched, WatchedWorld

MOST_SECONDS = 8.0
"""Of the processor's time that a case may take: a hundred times what it usually takes."""

TICK = 1.0
"""Seconds of it after which the clock is looked at again."""


Row = Any
"""A record as a named tuple, its columns those of the table."""


@dataclass
class Book:
    """What is known of a run.

    Attributes
    ----------
    scenario
        What was run.
    records, evaluations
        Its tables.
    accounts
        Its books.
    adapter
        The global one at the end.
    failure
        Why it could not go on; None if it came to its end.
    troubles
        What nothing came of clients by -> how often.
    version
        Updates of the global adapter made.
    seen
        What was seen of it from outside.
    world
        The world itself, for its clients and links.
    submitted
        Client, round and repetition of each training.
    useless
        Numbers of the askings whose training came to nothing.
    shared
        Upwards or not -> bytes/s of each link that clients share.
    """

    case: Case
    scenario: Scenario
    records: pd.DataFrame
    evaluations: pd.DataFrame
    accounts: ClientCounts
    adapter: Update
    failure: str | None
    troubles: dict[str, int]
    version: int
    ended_s: float
    seen: Watched
    world: WatchedWorld
    submitted: list[tuple[int, int, int]]
    useless: list[int]
    shared: dict[bool, list[float]]

    @cached_property
    def rows(self) -> list[Row]:
        """The records, one after another."""
        return list(self.records.itertuples(index=False, name="Row"))


def run(case: Case) -> tuple[Book, Book]:
    """Run a case twice.

    Raises
    ------
    ScenarioError
        It is refused before anything happens.
    Stalled
        It did not go on.
    TooLong
        It went on for longer than anyone waits for.
    Exception
        Whatever is not one of fsim's own errors: a fault.
    """
    cache = MemoryCache()
    with tempfile.TemporaryDirectory() as folder, Watchdog() as watchdog:
        loaded = case.load(Path(folder))
        return _run(case, loaded, cache, watchdog), _run(case, loaded, cache, watchdog)


def _run(case: Case, loaded: LoadedScenario, cache: MemoryCache, watchdog: Watchdog) -> Book:
    """As :func:`fsim.simulation.run.simulate` does it, with a learner that does not train."""
    scenario = loaded.scenario
    policy = scenario.compression.make()
    learner = RecordedLearner(
        case.learning, scenario.seed, policy.training_request(), policy.trains, cache
    )
    watchdog.world = None
    world = watchdog.world = WatchedWorld(loaded, learner)
    with np.errstate(over="ignore"):
        done = run_world(world)
    ups, downs = build_shared_links(scenario)
    return Book(
        case=case,
        scenario=scenario,
        records=done.records,
        evaluations=done.evaluations,
        accounts=world.accounts,
        adapter=world.adapter,
        failure=done.failure,
        troubles=done.facts["troubles"],
        version=world.version,
        ended_s=world.env.now,
        seen=world.seen,
        world=world,
        submitted=learner.submitted,
        useless=learner.useless,
        shared={up: [link.mean for link in way] for up, way in ((True, ups), (False, downs))},
    )


class Watchdog:
    """Ends what stands still or takes too long, by this process's own time: others do not count.

    Attributes
    ----------
    world
        The one that is run.
    """

    def __init__(self) -> None:
        self.world: WatchedWorld | None = None
        self._ticks = 0
        self._seen: tuple[WatchedWorld | None, float] = (None, 0.0)

    def __enter__(self) -> Watchdog:
        self._before = signal.signal(signal.SIGPROF, self._look)
        # More than once: where Python calls back by itself, what is raised is thrown away.
        signal.setitimer(signal.ITIMER_PROF, TICK, TICK)
        return self

    def __exit__(self, *raised: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._before)

    def _look(self, number: int, frame: FrameType | None) -> None:
        self._ticks += 1
        if self._ticks * TICK >= MOST_SECONDS:
            raise TooLong
        if self.world is None:
            return  # what is loaded for the first time may take as long
        known, then = self._seen
        world, now = self.world, self.world.env.now
        if known is world and now - then <= 1e-6 * now:
            raise Stalled(f"the clock stood at {now:g} s for {TICK:g} s")
        self._seen = world, now
