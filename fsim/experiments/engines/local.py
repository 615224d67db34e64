"""Engines: jobs one after another here, or side by side in processes that stay for the next."""

from __future__ import annotations

import multiprocessing
from contextlib import suppress
from multiprocessing.connection import wait

from typing_extensions import override

from fsim.core.processes import exit_text, in_main_thread
from fsim.experiments.jobs import Engine, Job, JobFailed, Outcome, do_job
from fsim.experiments.worker import serve
from fsim.simulation.run import Progress

RETRIES = 2
"""Times that a job is begun again whose process was killed."""


class Here(Engine):
    """One job at a time, in this process."""

    def __init__(self) -> None:
        self._next: tuple[int, Job] | None = None

    @property
    @override
    def room(self) -> int:
        return 1 if self._next is None else 0

    @override
    def start(self, number: int, job: Job) -> None:
        self._next = number, job

    @override
    def wait(self) -> list[tuple[int, Outcome | Progress]]:
        """Do the job that waits; its evaluations come with its end."""
        if self._next is None:
            return []
        number, job = self._next
        events: list[tuple[int, Outcome | Progress]] = []
        outcome = do_job(job, lambda progress: events.append((number, progress)))
        self._next = None
        return [*events, (number, outcome)]

    def close(self) -> None:
        """Nothing is at work between calls."""


class Processes(Engine):
    """Jobs in processes of their own, each of which keeps its imports and its last task.

    Parameters
    ----------
    count
        Processes, started as they are needed.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._idle: list[_Worker] = []
        self._busy: dict[int, tuple[_Worker, Job, int]] = {}

    @property
    @override
    def room(self) -> int:
        return self._count - len(self._busy)

    @override
    def start(self, number: int, job: Job) -> None:
        self._start(number, job, RETRIES)

    @override
    def wait(self) -> list[tuple[int, Outcome | Progress]]:
        """Block until a process reports; the job of one that was killed is run again."""
        owners = {worker.connection: number for number, (worker, _, _) in self._busy.items()}
        events: list[tuple[int, Outcome | Progress]] = []
        for connection in wait(list(owners)):
            number = owners[connection]  # type: ignore[index]
            worker, job, retries = self._busy[number]
            try:
                event = worker.connection.recv()
            except (EOFError, OSError):
                del self._busy[number]
                code = worker.end_text()
                if retries:
                    self._start(number, job, retries - 1)
                    continue
                error = JobFailed(f"its process ended {RETRIES + 1} times, the last with {code}")
                event = Outcome(error=error)
            else:
                if isinstance(event, Outcome):
                    del self._busy[number]
                    self._idle.append(worker)
            events.append((number, event))
        return events

    @override
    def close(self) -> None:
        workers = [*self._idle, *(worker for worker, _, _ in self._busy.values())]
        for worker in workers:
            worker.stop()
        self._idle, self._busy = [], {}

    def _start(self, number: int, job: Job, retries: int) -> None:
        # The one that was idle last is likeliest to have this job's task.
        worker = self._idle.pop() if self._idle else _Worker()
        self._busy[number] = worker, job, retries
        worker.give(job)


class _Worker:
    def __init__(self) -> None:
        # Spawned, not forked: PyTorch's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, in_main_thread()), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, job: Job) -> None:
        """Hand it a job; if it has died meanwhile, reading from it will tell."""
        with suppress(OSError):
            self.connection.send(job)

    def end_text(self) -> str:
        """The end of a process as text: a signal or an exit status."""
        self.connection.close()
        self._process.join(timeout=10)
        return exit_text(self._process.exitcode)

    def stop(self) -> None:
        """End it, whatever it is at: what it writes appears whole or not at all."""
        self._process.terminate()
        self._process.join()
        self.connection.close()
