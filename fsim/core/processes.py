"""Copies of this process that share its work, and processes that end with their parent.

Picture a cook who, when the orders pile up, has the kitchen's staff cook beside them, each at a
stove of their own. The staff begin with all that the cook has laid out: a fork copies the memory,
and until someone writes to it there is only one.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from fsim.core.errors import FsimError

Item = TypeVar("Item")
Result = TypeVar("Result")

CAN_FORK = sys.platform == "linux"
"""Elsewhere a copy of a process that has done numerical work may hang or crash."""

_PR_SET_PDEATHSIG = 1
"""Of Linux's ``prctl``: the signal that a process gets when the thread that made it is no more."""


class WorkerEnded(FsimError):
    """A process that shared the work is no more."""

    exit_code = 1


class Workers(Generic[Item, Result]):
    """Applies a function to items, in copies of this process and in this process itself.

    Copies are made when there is first something for them to do, after an item has been done here:
    what the function makes ready at its first call is ready in all of them. They see the world as
    it was then, so that the function's result must rest on its item alone.

    Parameters
    ----------
    function
        Of an item; both it and its result must be picklable, the function itself need not be.
    count
        Processes, this one included. Where there is no forking (:data:`CAN_FORK`), all is done
        here.
    """

    def __init__(self, function: Callable[[Item], Result], count: int) -> None:
        self._function = function
        self._count = count if CAN_FORK else 1
        self._copies: list[_Copy] = []

    def map(self, items: Sequence[Item]) -> Iterator[tuple[int, Result]]:
        """Each item's place and result, as they become ready.

        Raises
        ------
        WorkerEnded
            A copy was killed, as the system does when memory runs out.
        Exception
            Whatever the function raised.
        """
        queue = deque(enumerate(items))
        if self._count > 1 and len(queue) > 1 and not self._copies:
            at, item = queue.popleft()
            yield at, self._function(item)
            while queue and len(self._copies) < self._count - 1:
                self._copies.append(_Copy(self._function, self._copies))
        waiting = len(queue)
        ready: SimpleQueue[tuple[int, Any, Exception | None]] = SimpleQueue()
        # A thread a copy: it goes on with the next item while this process is at one of its own.
        for copy in self._copies:
            threading.Thread(target=_keep_busy, args=(copy, queue, ready), daemon=True).start()
        try:
            while waiting:
                mine = _next(queue) if ready.empty() else None
                if mine is None:
                    at, result, error = ready.get()
                    if error is not None:
                        raise error
                else:
                    at, result = mine[0], self._function(mine[1])
                waiting -= 1
                yield at, result
        finally:
            if waiting:  # nobody will ask for what the copies are at
                queue.clear()
                self.close()

    def close(self) -> None:
        """End the copies; another call of :meth:`map` makes new ones."""
        for copy in self._copies:
            copy.stop()
        self._copies = []


class _Copy:
    """A fork of this process that applies the function to what it is given."""

    def __init__(self, function: Callable[[Any], Any], others: Sequence[_Copy]) -> None:
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        # Of its elders' connections it would hold copies, and they would never see this end close.
        inherited = [self.connection, *(other.connection for other in others)]
        self._process = context.Process(
            target=_serve, args=(function, theirs, inherited, in_main_thread()), daemon=True
        )
        self._process.start()
        theirs.close()

    def do(self, item: Any) -> Any:
        """The function's result for an item."""
        try:
            self.connection.send(item)
            success, result = self.connection.recv()
        except (EOFError, OSError):
            self._process.join(timeout=10)
            raise WorkerEnded(
                "one of the processes that share the work ended "
                f"({exit_text(self._process.exitcode)}); "
                "with --workers 1 there is one, which needs the least memory"
            ) from None
        if not success:
            raise result
        return result

    def stop(self) -> None:
        """End it, whatever it is at."""
        self._process.terminate()
        self._process.join()
        self.connection.close()


def _keep_busy(
    copy: _Copy, queue: deque[tuple[int, Any]], ready: SimpleQueue[tuple[int, Any, Any]]
) -> None:
    while (item := _next(queue)) is not None:
        try:
            ready.put((item[0], copy.do(item[1]), None))
        except Exception as error:
            ready.put((item[0], None, error))
            return


def _next(queue: deque[tuple[int, Any]]) -> tuple[int, Any] | None:
    """The next item; None where another thread has taken the last one."""
    try:
        return queue.popleft()
    except IndexError:
        return None


def _serve(
    function: Callable[[Any], Any],
    connection: Connection,
    inherited: Sequence[Connection],
    by_main_thread: bool,
) -> None:
    end_with_parent(by_main_thread)
    for other in inherited:
        other.close()
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):  # the parent is no more
            return
        try:
            reply = True, function(item)
        except Exception as error:
            reply = False, error
        connection.send(reply)


def in_main_thread() -> bool:
    """True in the thread that is there as long as its process."""
    return threading.current_thread() is threading.main_thread()


def end_with_parent(by_main_thread: bool) -> None:
    """In a child process: leave interrupts to the parent, and end when it ends, however it does.

    On Linux the system sees to that, whatever the child is at. Elsewhere, and where another thread
    than the main one made the child, a thread of the child's own does: it has to wait where a call
    keeps the interpreter to itself.

    Parameters
    ----------
    by_main_thread
        Whether the parent's main thread made this process: Linux takes the end of another thread
        for the end of the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if by_main_thread and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # After that call, because the parent may have ended before it.
    if _is_orphan(parent.pid):
        os._exit(1)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: Any) -> None:
    # That it has ended is not enough to wait for: a later copy of it may hold open what tells.
    while parent.is_alive() and not _is_orphan(parent.pid):
        parent.join(timeout=1.0)
    os._exit(1)


def _is_orphan(parent: int | None) -> bool:
    # Windows goes on naming a parent that is no more.
    return os.name == "posix" and os.getppid() != parent


def exit_text(code: int | None) -> str:
    """Text of a process's exit code."""
    if code is None:
        return "no status"
    return f"signal {-code}" if code < 0 else f"status {code}"
