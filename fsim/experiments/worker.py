"""The state of a process that does jobs, from its very beginning."""

from __future__ import annotations

import traceback
from multiprocessing.connection import Connection

from fsim.core.processes import end_with_parent


def serve(connection: Connection, by_main_thread: bool) -> None:
    """Do the jobs that come, one by one, as long as the parent is there."""
    end_with_parent(by_main_thread)
    # Only now, because it takes seconds, in which the parent may end.
    from fsim.experiments.jobs import do_job

    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):  # the parent is no more
            return
        outcome = do_job(job, connection.send)
        if outcome.error is not None:  # what is sent to another process has no traceback
            lines = traceback.format_exception(outcome.error)
            outcome.error.add_note("In the process of the job:\n" + "".join(lines))
        connection.send(outcome)
