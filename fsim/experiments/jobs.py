"""Runs to be done, in this process or in another, and what became of them."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fsim.core.errors import FsimError
from fsim.core.registry import Addition, additions, adopt
from fsim.experiments.prepared import last_prepared
from fsim.experiments.run import run_to_folder
from fsim.settings.effects import Effect, keys_with
from fsim.settings.loading import LoadedScenario
from fsim.simulation.run import Progress
from fsim.store import Store


@dataclass(frozen=True)
class Job:
    """A run, and where its results go.

    Attributes
    ----------
    label
        What tables and figures call it; None for the policy's name.
    additions
        What this process has registered: another one learns of it with its job.
    """

    loaded: LoadedScenario
    folder: Path
    store: Store | None
    label: str | None = None
    additions: tuple[Addition, ...] = field(default_factory=additions)


@dataclass(frozen=True)
class Outcome:
    """The end of a job: its summary, or the error that it left no results for."""

    summary: dict[str, Any] | None = None
    error: FsimError | None = None

    @property
    def failure(self) -> str | None:
        """The reason why it could not go on; None if it was completed."""
        if self.error is not None:
            return str(self.error)
        failure: str | None = (self.summary or {}).get("failure")
        return failure


class JobFailed(FsimError):
    """A run that ended in a way that nobody foresaw."""

    exit_code = 1


class Engine(Protocol):
    """A place where jobs are done."""

    @property
    def room(self) -> int:
        """Jobs that could begin now."""

    def start(self, number: int, job: Job) -> None:
        """Begin a job under a number."""

    def wait(self) -> list[tuple[int, Outcome | Progress]]:
        """Events since the last call, at least one: an end, or an evaluation on the way."""

    def close(self) -> None:
        """End what is still at work."""


def do_job(job: Job, on_progress: Callable[[Progress], None] | None = None) -> Outcome:
    """Do a job here, and keep what it read for the next one."""
    try:
        adopt(job.additions)
        return Outcome(
            run_to_folder(
                job.loaded,
                job.folder,
                job.label,
                on_progress,
                job.store,
                prune=False,
                build=last_prepared.build,
                overwrite=True,  # the whole that it is part of has been asked
            )
        )
    except FsimError as error:
        return Outcome(error=error)
    except Exception as error:  # one cell's fault must not end the others
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        failed = JobFailed(text)
        failed.__cause__ = error
        return Outcome(error=failed)


def do_jobs(
    engine: Engine, jobs: Sequence[Job], *, leaders: bool = True
) -> Generator[tuple[int, Outcome | Progress | None], None, None]:
    """Do jobs, and tell by number what becomes of them: None when one begins.

    Parameters
    ----------
    engine
        Closed at the end.
    jobs
        Those that would train the same do not begin before the first of them has ended, so that
        they find its results in the store.
    leaders
        False begins all as soon as there is room.
    """
    order = _Order(jobs, leaders=leaders)
    working = 0
    try:
        while working or order.ready:
            while order.ready and engine.room > 0:
                number = order.ready.popleft()
                engine.start(number, jobs[number])
                working += 1
                yield number, None
            for number, event in engine.wait():
                if isinstance(event, Outcome):
                    working -= 1
                    order.finish(number, event)
                yield number, event
    finally:
        engine.close()


def learning_key(loaded: LoadedScenario) -> str:
    """Digest of what may change what is trained: scenarios that share it share their training.

    Only the order of jobs rests on it: what is reused is decided by the store's own keys.
    """
    without = {Effect.REPORT, Effect.TIME} if loaded.scenario.timeless else {Effect.REPORT}
    settings = keys_with(loaded.scenario, lambda effects: not effects & without)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


class _Order:
    """Jobs that may begin: the first of each group that trains the same, then the rest of it."""

    def __init__(self, jobs: Sequence[Job], *, leaders: bool) -> None:
        self.ready: deque[int] = deque()
        self._waiting: dict[str, deque[int]] = {}
        self._groups: dict[int, str] = {}
        for number, job in enumerate(jobs):
            group = learning_key(job.loaded) if leaders and job.store is not None else str(number)
            if group in self._waiting:
                self._waiting[group].append(number)
            else:
                self._waiting[group] = deque()
                self._groups[number] = group
                self.ready.append(number)

    def finish(self, number: int, outcome: Outcome) -> None:
        """Let those begin that waited for this one; if it failed, the next goes first."""
        group = self._groups.pop(number, None)
        if group is None:
            return
        waiting = self._waiting.pop(group)
        if outcome.failure is None or len(waiting) < 2:
            self.ready.extend(waiting)
            return
        first = waiting.popleft()
        self.ready.append(first)
        self._waiting[group], self._groups[first] = waiting, group
