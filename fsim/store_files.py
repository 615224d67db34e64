"""The files of a store in a folder, and what a store asks of files anywhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fsim.errors import OutputError


@dataclass(frozen=True)
class Found:
    """A file of a store.

    Attributes
    ----------
    name
        ``AB/CDEF...``.
    size
        Bytes.
    used
        When it was last read or written, in seconds since 1970.
    temporary
        Whether somebody is writing it, or has left it half-written.
    """

    name: str
    size: int
    used: float
    temporary: bool


class Files(Protocol):
    """Where a store's files are, by the names ``AB/CDEF...``."""

    def place(self, name: str) -> Path | str:
        """Where a file is, for people."""
        ...

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none. OutputError if it cannot be read."""
        ...

    def used(self, name: str) -> None:
        """Note that a file has been read, where that can be noted."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all. OutputError if it cannot be written."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        ...

    def found(self) -> Iterator[Found]:
        """All files, temporary ones too."""
        ...


class FolderFiles:
    """Files below a folder, which is made when the first is written.

    Parameters
    ----------
    folder
        Its path.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, name: str) -> Path:
        """See :class:`Files`."""
        return self._folder / name

    def read(self, name: str) -> bytes | None:
        """See :class:`Files`."""
        path = self._folder / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutputError(f"{path}: cannot be read: {error.strerror}") from None

    def used(self, name: str) -> None:
        """See :class:`Files`."""
        with suppress(
            OSError
        ):  # pruned meanwhile, or another user's: it has been read all the same
            os.utime(self._folder / name)

    def write(self, name: str, content: bytes) -> None:
        """See :class:`Files`; it is on the disk when this returns."""
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise OutputError(f"{path.parent}: cannot be written: {error.strerror}") from None

    def remove(self, name: str) -> None:
        """See :class:`Files`."""
        (self._folder / name).unlink(missing_ok=True)

    def found(self) -> Iterator[Found]:
        """See :class:`Files`."""
        for path in self._folder.glob("??/*"):
            with suppress(FileNotFoundError):  # another process may have removed it meanwhile
                if path.is_file():
                    status, name = path.stat(), f"{path.parent.name}/{path.name}"
                    yield Found(name, status.st_size, status.st_mtime, is_temporary(path.name))


def is_temporary(name: str) -> bool:
    """Whether a file of that name is one that has not been written to its end."""
    return name.startswith(".")
