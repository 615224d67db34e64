"""Jobs spread over the workers of a Ray cluster (``pip install fsim[ray]``).

A cell's files are made where it runs and sent back to the process that asked: only the store, and
the files that the scenario names, must be reachable by the same path from every machine.
"""

from __future__ import annotations

import os
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from fsim.core.errors import ScenarioError
from fsim.experiments.engines.local import RETRIES
from fsim.experiments.jobs import Engine, Job, JobFailed, Outcome, do_job
from fsim.experiments.run import run_identity
from fsim.results.folders import replacing
from fsim.results.manifest import MANIFEST
from fsim.simulation.run import Progress

Files = dict[str, bytes]

REACHED_WITHIN = 10.0
"""Seconds until a cluster's address must have answered."""


class RayEngine(Engine):
    """Jobs as tasks of Ray; one whose worker dies is done again by another.

    Parameters
    ----------
    jobs
        Workers of the cluster that is started here, if no address is given.
    address
        Of a running cluster, as ``ray start --head`` tells it.

    Raises
    ------
    ScenarioError
        Ray is not installed, or the cluster does not answer.
    """

    def __init__(self, jobs: int, address: str | None) -> None:
        # Ray would otherwise send usage reports.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError:
            raise ScenarioError(
                "--engine: found ray, which is not installed: pip install 'fsim[ray]'"
            ) from None
        self._ray: Any = ray
        if address is not None:
            _check_reachable(address)
        size = {"num_cpus": jobs, "include_dashboard": False} if address is None else {}
        try:
            ray.init(address=address, log_to_driver=False, logging_level="error", **size)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = str(error).strip().splitlines()[0]
            raise ScenarioError(f"--ray-address: found {address!r}: {first}") from None
        self._task = ray.remote(num_cpus=1, max_retries=RETRIES)(_do_and_pack)
        self._cells: dict[Any, tuple[int, Job]] = {}

    @property
    @override
    def room(self) -> int:
        """Two jobs a core: Ray keeps the waiting ones in its queue."""
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        return max(1, 2 * cores) - len(self._cells)

    @override
    def start(self, number: int, job: Job) -> None:
        self._cells[self._task.remote(_everywhere(job))] = number, job

    @override
    def wait(self) -> list[tuple[int, Outcome | Progress]]:
        """Block until a task ends; progress in between is not reported."""
        ready, _ = self._ray.wait(list(self._cells), num_returns=1)
        events: list[tuple[int, Outcome | Progress]] = []
        for task in ready:
            number, job = self._cells.pop(task)
            try:
                outcome, files = self._ray.get(task)
                if outcome.error is None:
                    _unpack(files, job)
            except self._ray.exceptions.RayError as error:
                first = str(error).strip().splitlines()[0]
                outcome = Outcome(error=JobFailed(f"its Ray worker failed: {first}"))
            events.append((number, outcome))
        return events

    @override
    def close(self) -> None:
        for task in self._cells:
            self._ray.cancel(task, force=True)
        self._ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray itself waits for minutes for a cluster that is not there.

    Raises
    ------
    ScenarioError
        Nobody answers at ``HOST:PORT``; an address of another form is left to Ray.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=REACHED_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise ScenarioError(f"--ray-address: found {address}, nobody answers: {error}") from None


def _everywhere(job: Job) -> Job:
    """The job with paths that do not depend on the folder that a process works in."""
    folders = tuple(folder.resolve() for folder in job.loaded.folders)
    store = None if job.store is None else job.store.everywhere()
    loaded = job.loaded.model_copy(update={"folders": folders})
    return replace(job, loaded=loaded, store=store)


def _do_and_pack(job: Job) -> tuple[Outcome, Files]:
    """On a worker: do the job in a folder of its own, and read what it left."""
    with tempfile.TemporaryDirectory(prefix="fsim-") as place:
        folder = Path(place) / "run"
        outcome = do_job(replace(job, folder=folder))
        paths = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
        return outcome, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _unpack(files: Files, job: Job) -> None:
    with replacing(job.folder, run_identity(job.loaded), overwrite=True) as temporary:
        for name, content in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
