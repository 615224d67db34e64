"""Faults in the code of a policy, told with the file and the line in it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fsim.compression.policy import POLICIES, Policy
from fsim.core.errors import FsimError, PolicyFailed


@contextmanager
def running(policy: Policy, expected: type[Exception]) -> Iterator[None]:
    """Run a policy's code: what it is not meant to raise ends the run, in one line.

    Parameters
    ----------
    policy
        Whose code it is.
    expected
        What its contract allows it to raise, which passes as it is: ``ValueError`` to encode,
        ``PayloadError`` to decode.

    Raises
    ------
    PolicyFailed
        Its cause is what was raised.
    """
    try:
        yield
    except (FsimError, expected):
        raise
    except Exception as error:
        place = _place(error, POLICIES.values())
        raise PolicyFailed(
            f"policy {policy.name}: {type(error).__name__}: {str(error).rstrip()}"
            f"{place or _innermost(error)}"
        ) from error


def explained(error: Exception) -> str:
    """The refusal of a policy; of one that does not ship, with its file and line."""
    place = _place(error, POLICIES.added())
    return f"{str(error).rstrip()}{place}" if place else str(error)


def _place(error: Exception, policies: Iterable[type[Policy]]) -> str:
    """The last line that was reached in the files of some policies; empty for none."""
    files = {
        method.__code__.co_filename
        for policy in policies
        for kind in policy.__mro__
        if issubclass(kind, Policy) and kind is not Policy
        for method in vars(kind).values()
        if hasattr(method, "__code__")
    }
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename in files:
            place = _location(frame.f_code.co_filename, line)
    return place


def _innermost(error: Exception) -> str:
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    return _location(frame.f_code.co_filename, line)


def _location(file: str, line: int) -> str:
    """A line of a file, whose path is from the working folder where it is below that."""
    if Path(file).is_relative_to(Path.cwd()):
        file = os.path.relpath(file)
    return f" ({file}:{line})"
