"""The files of a store in a folder, and what a store asks of files anywhere."""

from __future__ import annotations

import os
import re
import stat
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from typing_extensions import override

from fsim.core.errors import OutputError

MARKER = "fsim-store"
"""The file that makes a folder a store."""

_GROUP = re.compile(r"[0-9a-f]{2}")
_ENTRY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{62}")
_TEMPORARY = re.compile(r"([0-9a-f]{2}/)?\.fsim-store-[0-9a-f]{32}")


class Kind(Enum):
    """Kind of a file, by its name; only a plain file is anything but a stranger."""

    MARKER = "marker"
    ENTRY = "entry"
    TEMPORARY = "temporary"
    STRANGER = "stranger"


@dataclass(frozen=True)
class StoredFile:
    """A file in a store's folder, or in a folder of two hexadecimal digits below it.

    Attributes
    ----------
    name
        ``AB/CDEF...`` of an entry.
    size
        Bytes.
    used
        When it was last read or written, in seconds since 1970.
    kind
        What it is by its name. Other folders and links are strangers, and nobody looks into them.
    """

    name: str
    size: int
    used: float
    kind: Kind


class Files(Protocol):
    """Interface to a store's files, by the names ``AB/CDEF...``."""

    def place(self, name: str) -> Path | str:
        """Path of a file, for people."""
        ...

    def read(self, name: str, end: int | None = None) -> bytes | None:
        """The content of a file, or so many bytes of its beginning.

        None if nothing is there, and empty if a link, a folder or anything else but a plain file
        is. It never blocks. OutputError if it cannot be read.
        """
        ...

    def beginnings(self, names: Sequence[str], end: int) -> Iterable[bytes | None]:
        """Beginnings of several files, each as :meth:`read` gives it."""
        ...

    def used(self, name: str) -> None:
        """Note that a file has been read, where that can be noted."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all. OutputError if it cannot be written."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, if it is there. OutputError if it cannot be removed."""
        ...

    def listing(self) -> Iterator[StoredFile]:
        """All there is, temporary files and strangers too. OutputError if it cannot be listed."""
        ...


class FolderFiles(Files):
    """Files below a folder, which is made when the first is written.

    Parameters
    ----------
    folder
        Its path.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    def place(self, name: str) -> Path:
        return self._folder / name

    @override
    def read(self, name: str, end: int | None = None) -> bytes | None:
        path = self._folder / name
        try:
            group = path.parent
            if group != self._folder and not stat.S_ISDIR(group.lstat().st_mode):
                return b""
            # Looked at before it is opened, because to open a device may do something.
            if not stat.S_ISREG(path.lstat().st_mode):
                return b""
            with open(path, "rb", opener=_without_waiting) as file:
                return file.read(end) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return b""
        except OSError as error:
            raise OutputError(f"{path}: cannot be read: {error.strerror}") from None

    @override
    def beginnings(self, names: Sequence[str], end: int) -> Iterable[bytes | None]:
        return (self.read(name, end) for name in names)

    @override
    def used(self, name: str) -> None:
        # Pruned meanwhile, or another user's: it has been read all the same.
        with suppress(OSError):
            os.utime(self._folder / name)

    @override
    def write(self, name: str, content: bytes) -> None:
        """Write a file whole; it is on the disk when this returns."""
        path = self._folder / name
        temporary = path.parent / new_temporary()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with open(temporary, "xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise OutputError(f"{path.parent}: cannot be written: {error.strerror}") from None
        except RecursionError:
            raise OutputError(f"{path.parent}: found too many folders within each other") from None

    @override
    def remove(self, name: str) -> None:
        path = self._folder / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: cannot be removed: {error.strerror}") from None

    @override
    def listing(self) -> Iterator[StoredFile]:
        for item in _listed(self._folder):
            if is_group(item.name) and item.is_dir(follow_symlinks=False):
                for file in _listed(Path(item.path)):
                    yield from _stored_file(f"{item.name}/{file.name}", file)
            else:
                yield from _stored_file(item.name, item)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, but neither a link nor a pipe that waits for its other end."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return sorted(items, key=lambda item: item.name)
    except FileNotFoundError:  # never made, or another process has removed it meanwhile
        return []
    except NotADirectoryError:
        raise OutputError(f"{folder}: found a file, allowed is a folder for the store") from None
    except OSError as error:
        raise OutputError(f"{folder}: cannot be listed: {error.strerror}") from None


def _stored_file(name: str, item: os.DirEntry[str]) -> Iterator[StoredFile]:
    with suppress(FileNotFoundError):  # another process may have removed it meanwhile
        status = item.stat(follow_symlinks=False)
        kind = kind_of(name, plain=stat.S_ISREG(status.st_mode))
        yield StoredFile(name, status.st_size, status.st_mtime, kind)


def is_group(name: str) -> bool:
    """Tell by its name whether a folder is one that entries are in."""
    return _GROUP.fullmatch(name) is not None


def kind_of(name: str, *, plain: bool) -> Kind:
    """Kind of a file, by its name and by whether it is a plain file."""
    if not plain:
        return Kind.STRANGER
    if name == MARKER:
        return Kind.MARKER
    if _ENTRY.fullmatch(name):
        return Kind.ENTRY
    return Kind.TEMPORARY if _TEMPORARY.fullmatch(name) else Kind.STRANGER


def new_temporary() -> str:
    """A name that nobody else has, for a file that is being written."""
    return f".fsim-store-{uuid.uuid4().hex}"
