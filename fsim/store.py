"""A store of results under the hash of everything that produced them.

One file an entry, in a folder that any number of processes may share. An entry is written whole or
not at all, carries its own checksum, and is thrown away, with a warning, when the two disagree.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsim.errors import OutputError

MAGIC = b"FSIMSTO1"
DEFAULT_LIMIT = 5_000_000_000
"""Bytes that a store is kept below after each run, the least recently used entries going first."""

ABANDONED_S = 3600
"""Age at which a file that was left half-written belongs to nobody any more."""

_log = logging.getLogger("fsim.store")


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds."""

    folder: Path
    entries: int
    size: int


class Store:
    """Entries of bytes by key.

    Parameters
    ----------
    folder
        Made when the first entry is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged = 0

    def get(self, key: str) -> bytes | None:
        """The entry of that key; None if there is none, or if it is damaged."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutputError(f"{path}: cannot be read: {error.strerror}") from None
        payload = _checked(content)
        if payload is None:
            self.damaged += 1
            _log.warning("%s: damaged entry removed, its result is computed again", path)
            path.unlink(missing_ok=True)
            return None
        os.utime(path)
        return payload

    def put(self, key: str, payload: bytes) -> None:
        """Write an entry: after a crash at any moment it is there whole, or not there.

        Raises
        ------
        OutputError
            The disk is full, or the folder cannot be written.
        """
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(MAGIC + hashlib.sha256(payload).digest() + payload)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise OutputError(f"{path.parent}: cannot be written: {error.strerror}") from None

    def info(self) -> StoreInfo:
        """Entries and their bytes."""
        sizes = [path.stat().st_size for path in self._entries()]
        return StoreInfo(self.folder, len(sizes), sum(sizes))

    def verify(self) -> list[Path]:
        """Read every entry, and return the damaged ones; nothing is removed."""
        return [path for path in self._entries() if _checked(path.read_bytes()) is None]

    def prune(self, limit: int) -> int:
        """Remove the least recently used entries until at most ``limit`` bytes are left.

        Files that a killed process left half-written are removed as well, once they are an hour
        old: younger ones may be another process's at work.

        Returns
        -------
        int
            Number of entries removed.
        """
        for leftover in self.folder.glob("*/.*"):
            with suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > ABANDONED_S:
                    leftover.unlink()
        entries = sorted(self._entries(), key=lambda path: path.stat().st_mtime, reverse=True)
        kept = removed = 0
        for path in entries:
            kept += path.stat().st_size
            if kept > limit:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]

    def _entries(self) -> Iterator[Path]:
        return (path for path in self.folder.glob("??/[!.]*") if path.is_file())


def key_of(**parts: Any) -> str:
    """The SHA-256 of named parts that JSON can express, whatever their order."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def place(given: str | None) -> Path | None:
    """Where the store is: as given, else ``FSIM_STORE``, else the user's cache; None for "none"."""
    chosen = given or os.environ.get("FSIM_STORE")
    if chosen == "none":
        return None
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fsim" / "store"


def _checked(content: bytes) -> bytes | None:
    head = len(MAGIC) + 32
    digest, payload = content[len(MAGIC) : head], content[head:]
    whole = content.startswith(MAGIC) and hashlib.sha256(payload).digest() == digest
    return payload if whole else None
