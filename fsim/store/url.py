"""The files of a store at a URL, through fsspec (``pip install fsim[fsspec]``).

What is behind a URL may be a bucket, another machine or this process's memory: only what all of
them can do is used. None keeps when a file was last read, so the oldest written count as the least
recently used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from fsim.core.errors import OutputError, ScenarioError
from fsim.store.folder import Files, StoredFile, is_group, kind_of, new_temporary

WHOLE_AT_ONCE = ("memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "r2")
"""Protocols under which a file appears when it has been sent, and not before: elsewhere it is
written under another name first, and then moved."""


class UrlFiles(Files):
    """Files below a URL, by the names ``AB/CDEF...``.

    Parameters
    ----------
    url
        As ``s3://bucket/fsim`` or ``memory://fsim``.

    Raises
    ------
    ScenarioError
        fsspec is not installed, does not know the protocol, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") if not url.endswith("://") else url
        self._process = -1
        self._filesystem: Any = None
        self._root = ""
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        # Another process opens its own: connections and threads do not travel.
        return {**self.__dict__, "_process": -1, "_filesystem": None}

    def place(self, name: str) -> str:
        """URL of a file."""
        return f"{self.url}/{name}"

    def read(self, name: str, end: int | None = None) -> bytes | None:
        """The content of a file, or so many bytes of its beginning.

        None if nothing is there, and empty if something else than a plain file is.

        Raises
        ------
        OutputError
            It cannot be read.
        """
        files, path = self._open(), self._path(name)
        try:
            if not self._whole_at_once and not self._plain(path):
                return b""
            content: bytes = files.cat_file(path, None if end is None else 0, end)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return b""
        except Exception as error:  # of drivers and networks of all kinds
            raise OutputError(f"{self.place(name)}: cannot be read: {_first_line(error)}") from None
        return content

    def beginnings(self, names: Sequence[str], end: int) -> list[bytes | None]:
        """Beginnings of several files, each as :meth:`read` gives it, asked for together.

        Raises
        ------
        OutputError
            One cannot be read.
        """
        if not self._whole_at_once:
            return [self.read(name, end) for name in names]
        paths = [self._path(name) for name in names]
        try:
            results = self._open().cat_ranges(paths, 0, end, on_error="return") if paths else []
        except Exception as error:
            raise OutputError(f"{self.url}: cannot be read: {_first_line(error)}") from None
        contents: list[bytes | None] = []
        for name, content in zip(names, results, strict=True):
            if isinstance(content, FileNotFoundError):
                contents.append(None)
            elif isinstance(content, Exception):
                reason = _first_line(content)
                raise OutputError(f"{self.place(name)}: cannot be read: {reason}")
            else:
                contents.append(content)
        return contents

    def used(self, name: str) -> None:
        """Nothing: no protocol can tell of reading."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file: whole, or not at all.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        files, path = self._open(), self._path(name)
        folder = path.rpartition("/")[0]
        try:
            if self._whole_at_once:
                files.pipe_file(path, content)
                return
            files.makedirs(folder, exist_ok=True)
            temporary = f"{folder}/{new_temporary()}"
            try:
                files.pipe_file(temporary, content)
                files.mv(temporary, path)
            except BaseException:
                if files.exists(temporary):
                    files.rm_file(temporary)
                raise
        except Exception as error:
            reason = _first_line(error)
            raise OutputError(f"{self.place(name)}: cannot be written: {reason}") from None

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            self._open().rm_file(self._path(name))
        except FileNotFoundError:
            pass
        except Exception as error:
            reason = _first_line(error)
            raise OutputError(f"{self.place(name)}: cannot be removed: {reason}") from None

    def listing(self) -> Iterator[StoredFile]:
        """All there is, temporary files and strangers too.

        Raises
        ------
        OutputError
            The place cannot be listed.
        """
        files = self._open()
        try:
            files.invalidate_cache()
            top = {self._name(detail): detail for detail in files.ls(self._root, detail=True)}
        except FileNotFoundError:
            return
        except Exception as error:
            raise OutputError(f"{self.url}: cannot be listed: {_first_line(error)}") from None
        if "" in top and top[""]["type"] == "file":
            raise OutputError(f"{self.url}: found a file, allowed is a folder for the store")
        groups = {name for name, detail in top.items() if is_group(name) and _is_folder(detail)}
        for name in sorted(top.keys() - groups - {""}):
            yield _stored_file(name, top[name])
        if not groups:
            return
        try:
            details = files.find(self._root, detail=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise OutputError(f"{self.url}: cannot be listed: {_first_line(error)}") from None
        for detail in sorted(details.values(), key=self._name):
            if (name := self._name(detail)).partition("/")[0] in groups:
                yield _stored_file(name, detail)

    @property
    def _whole_at_once(self) -> bool:
        protocol = self._filesystem.protocol
        names = (protocol,) if isinstance(protocol, str) else protocol
        return any(name in WHOLE_AT_ONCE for name in names)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _name(self, detail: dict[str, Any]) -> str:
        """A file's name below the root, from what its filesystem tells of it."""
        name: str = detail["name"]
        return name.rstrip("/").removeprefix(self._root).lstrip("/")

    def _plain(self, path: str) -> bool:
        """True if a plain file is there, in a folder that is no link.

        Raises
        ------
        FileNotFoundError
            Nothing is there.
        """
        folder = path.rpartition("/")[0]
        for each in [path] if folder == self._root else [folder, path]:
            try:
                detail = self._filesystem.info(each)
            except FileNotFoundError:
                if self._filesystem.lexists(each):
                    return False  # a link to nowhere
                raise
            if not (_is_folder(detail) if each == folder else _is_plain(detail)):
                return False
        return True

    def _open(self) -> Any:
        """The filesystem, opened in this process: a fork's copy of a connection is of no use."""
        if self._process == os.getpid():
            return self._filesystem
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise ScenarioError(
                f"--store: found {self.url}, for which fsspec is not installed: "
                "pip install 'fsim[fsspec]'"
            ) from None
        try:
            self._filesystem, root = url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise ScenarioError(f"--store: found {self.url}: {_first_line(error)}") from None
        self._root = root.rstrip("/")
        self._process = os.getpid()
        return self._filesystem


def _is_plain(detail: dict[str, Any]) -> bool:
    return detail["type"] == "file" and not detail.get("islink")


def _is_folder(detail: dict[str, Any]) -> bool:
    return detail["type"] == "directory" and not detail.get("islink")


def _stored_file(name: str, detail: dict[str, Any]) -> StoredFile:
    kind = kind_of(name, plain=_is_plain(detail))
    return StoredFile(name, detail["size"] or 0, _seconds(detail), kind)


def _seconds(detail: dict[str, Any]) -> float:
    """Seconds since 1970 at which a file was written, by its filesystem; 0 if it does not tell."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = detail.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
