"""The last prepared task of a process: reading task and model is paid once for several runs."""

from __future__ import annotations

import hashlib
import json

from fsim.core.registry import additions
from fsim.settings.effects import Effect, keys_with
from fsim.settings.loading import LoadedScenario
from fsim.simulation.build import PreparedTask, prepare_task


class LastPreparedTask:
    """Prepares tasks, and gives the last one again to a scenario that would build the same.

    Only one is kept: a large model is not in memory twice.
    """

    def __init__(self) -> None:
        self._key = ""
        self._task: PreparedTask | None = None

    def build(self, loaded: LoadedScenario) -> PreparedTask:
        """As :func:`fsim.simulation.build.prepare_task`."""
        key = task_key(loaded)
        if self._task is None or key != self._key:
            self._task = None  # its memory is free before the next is built
            self._task = prepare_task(loaded)
            self._key = key
        return self._task


last_prepared = LastPreparedTask()
"""This process's own."""


def task_key(loaded: LoadedScenario) -> str:
    """Digest of all that :func:`fsim.simulation.build.prepare_task` reads of a scenario."""
    settings = keys_with(loaded.scenario, lambda effects: Effect.TASK in effects)
    folders = [str(folder) for folder in loaded.folders]
    digest = hashlib.sha256(json.dumps([settings, folders], sort_keys=True).encode())
    for source in loaded.scenario.task.make().sources(loaded.find):
        digest.update(source.read_bytes())
    # A task of a user's own may be registered anew, with another content under the same name.
    for addition in additions():
        digest.update(addition.source.encode())
    return digest.hexdigest()
