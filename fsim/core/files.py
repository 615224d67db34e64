"""Writing of files: whole or not at all, and in the place of nothing but a file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fsim.core.errors import OutputError

UNFINISHED = ".fsim-new."
"""What the names of files begin with that are still being written."""

ABANDONED_S = 3600
"""Age at which a file that was left half-written belongs to nobody any more."""


@contextmanager
def whole_file(path: Path, ready: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """A path to write a file to, which becomes ``path`` when all is written.

    Parameters
    ----------
    path
        New, or a file, which is replaced.
    ready
        Called with ``path`` before that, when all is written.

    Raises
    ------
    OutputError
        The disk is full, the place cannot be written, or something else than a file is there.
    """
    with _writing_errors(path):
        # Put in the place of a device, the file would be all that is left of it.
        if path.exists() and not path.is_file():
            raise OutputError(f"{path}: cannot be written: found something else than a file")
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    try:
        with _writing_errors(path):
            yield temporary
            if ready is not None:
                ready(path)
            os.replace(temporary, path)
            _clear(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def unfinished(path: Path) -> Path:
    """Path of a file until it is whole: beside its place, by a name that is this process's own."""
    return path.with_name(f"{UNFINISHED}{os.getpid()}.{path.name}")


def _clear(path: Path) -> None:
    """Remove what killed processes left of a file."""
    for entry in os.scandir(path.parent):
        if entry.name.startswith(UNFINISHED) and entry.name.endswith(f".{path.name}"):
            with suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED_S:
                    os.unlink(entry)


@contextmanager
def _writing_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
    except RecursionError:
        raise OutputError(f"{path}: found too many folders within each other") from None
