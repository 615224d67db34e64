"""The files of a store at a URL, through fsspec (``pip install fsim[fsspec]``).

What is behind a URL may be a bucket, another machine or this process's memory: only what all of
them can do is used. None keeps when a file was last read, so the oldest written count as the least
recently used.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from fsim.errors import OutputError, ScenarioError
from fsim.store_files import Found, is_temporary

WHOLE_AT_ONCE = ("memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "r2")
"""Protocols under which a file appears when it has been sent, and not before: elsewhere it is
written under another name first, and then moved."""


class UrlFiles:
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
        """Where a file is, in words."""
        return f"{self.url}/{name}"

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none.

        Raises
        ------
        OutputError
            It cannot be read.
        """
        files = self._open()
        try:
            content: bytes = files.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        except Exception as error:  # of drivers and networks of all kinds
            raise OutputError(f"{self.place(name)}: cannot be read: {_first_line(error)}") from None
        return content

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
        folder, _, last = path.rpartition("/")
        try:
            if self._whole_at_once:
                files.pipe_file(path, content)
                return
            files.makedirs(folder, exist_ok=True)
            temporary = f"{folder}/.{last}-{uuid.uuid4().hex}"
            try:
                files.pipe_file(temporary, content)
                files.mv(temporary, path)
            except BaseException:
                if files.exists(temporary):
                    files.rm_file(temporary)
                raise
        except Exception as error:
            told = _first_line(error)
            raise OutputError(f"{self.place(name)}: cannot be written: {told}") from None

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            self._open().rm_file(self._path(name))
        except FileNotFoundError:
            pass
        except Exception as error:
            told = _first_line(error)
            raise OutputError(f"{self.place(name)}: cannot be removed: {told}") from None

    def found(self) -> Iterator[Found]:
        """All files, those that were left half-written too.

        Raises
        ------
        OutputError
            The place cannot be listed.
        """
        files = self._open()
        try:
            files.invalidate_cache()
            details = files.find(self._root, detail=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise OutputError(f"{self.url}: cannot be listed: {_first_line(error)}") from None
        for path, detail in sorted(details.items()):
            name = path.removeprefix(self._root).lstrip("/")
            group, _, last = name.partition("/")
            if len(group) == 2 and last and "/" not in last:
                yield Found(name, detail["size"] or 0, _seconds(detail), is_temporary(last))

    @property
    def _whole_at_once(self) -> bool:
        protocol = self._filesystem.protocol
        names = (protocol,) if isinstance(protocol, str) else protocol
        return any(name in WHOLE_AT_ONCE for name in names)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

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


def _seconds(detail: dict[str, Any]) -> float:
    """When a file was written, in seconds since 1970, as its filesystem calls it; 0 if not told."""
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
