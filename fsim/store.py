"""A store of results under the hash of everything that produced them.

One file an entry, in a folder or at a URL that any number of processes may share. An entry is
written whole or not at all, carries its own checksum, and is thrown away, with a warning, when the
two disagree.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsim.store_files import Files, FolderFiles, Found

MAGIC = b"FSIMSTO1"
DEFAULT_LIMIT = 20_000_000_000
"""Bytes that a store is kept below after each run, the least recently used entries going first."""

ABANDONED_S = 3600
"""Age at which a file that was left half-written belongs to nobody any more."""

_log = logging.getLogger("fsim.store")


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds."""

    folder: Path | str
    entries: int
    size: int


class Store:
    """Entries of bytes by key.

    Parameters
    ----------
    folder
        A folder, made when the first entry is written; or a URL that fsspec knows, as
        ``s3://bucket/fsim``.

    Raises
    ------
    ScenarioError
        A URL that cannot be opened: fsspec or the protocol's driver is not installed, or there is
        no such protocol.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = folder if is_url(folder) else Path(folder)
        self.damaged = 0
        self._files = _files(self.folder)

    def get(self, key: str) -> bytes | None:
        """The entry of that key; None if there is none, or if it is damaged."""
        name = _name(key)
        content = self._files.read(name)
        if content is None:
            return None
        payload = _checked(content)
        if payload is None:
            self.damaged += 1
            _log.warning(
                "%s: damaged entry removed, its result is computed again", self._files.place(name)
            )
            self._files.remove(name)
            return None
        self._files.used(name)
        return payload

    def put(self, key: str, payload: bytes) -> None:
        """Write an entry: after a crash at any moment it is there whole, or not there.

        Raises
        ------
        OutputError
            The disk is full, or the place cannot be written.
        """
        self._files.write(_name(key), MAGIC + hashlib.sha256(payload).digest() + payload)

    def info(self) -> StoreInfo:
        """Entries and their bytes."""
        sizes = [entry.size for entry in self._entries()]
        return StoreInfo(self.folder, len(sizes), sum(sizes))

    def verify(self) -> list[Path | str]:
        """Read every entry, and return where damaged ones are; nothing is removed."""
        contents = ((entry.name, self._files.read(entry.name)) for entry in self._entries())
        return [
            self._files.place(name)
            for name, content in contents
            if content is not None and _checked(content) is None
        ]

    def tidy(self) -> None:
        """After runs: keep a folder below :data:`DEFAULT_LIMIT`.

        A store at a URL is other people's too, and to list it may cost as much as a run: it is left
        to ``fsim store prune``.
        """
        if isinstance(self.folder, Path):
            self.prune(DEFAULT_LIMIT)

    def prune(self, limit: int) -> int:
        """Remove the least recently used entries until at most ``limit`` bytes are left.

        Files that a killed process left half-written are removed as well, once they are an hour
        old: younger ones may be another process's at work. At a URL nothing tells when an entry was
        read, and the first written go first.

        Returns
        -------
        int
            Number of entries removed.
        """
        entries = []
        for each in self._files.found():
            if not each.temporary:
                entries.append(each)
            elif time.time() - each.used > ABANDONED_S:
                self._files.remove(each.name)
        entries.sort(key=lambda entry: entry.used, reverse=True)
        kept = removed = 0
        for entry in entries:
            kept += entry.size
            if kept > limit:
                self._files.remove(entry.name)
                removed += 1
        return removed

    def everywhere(self) -> Store:
        """The same store by a name that does not depend on the folder a process works in."""
        return Store(self.folder.resolve()) if isinstance(self.folder, Path) else self

    def _entries(self) -> list[Found]:
        return [each for each in self._files.found() if not each.temporary]


def key_of(**parts: Any) -> str:
    """The SHA-256 of named parts that JSON can express, whatever their order."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def place(given: str | None) -> Path | str | None:
    """Where the store is: as given, else ``FSIM_STORE``, else the user's cache; None for "none".

    Returns
    -------
    Path, str or None
        A folder, or a URL.
    """
    chosen = given or os.environ.get("FSIM_STORE")
    if chosen == "none":
        return None
    if chosen:
        return chosen if is_url(chosen) else Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fsim" / "store"


def is_url(place: Path | str) -> bool:
    """Whether a place is a URL, as ``memory://fsim``, rather than a path."""
    return isinstance(place, str) and "://" in place


def _files(folder: Path | str) -> Files:
    if isinstance(folder, Path):
        return FolderFiles(folder)
    # Whoever has a folder need not have fsspec.
    from fsim.store_url import UrlFiles

    return UrlFiles(folder)


def _name(key: str) -> str:
    return f"{key[:2]}/{key[2:]}"


def _checked(content: bytes) -> bytes | None:
    head = len(MAGIC) + 32
    digest, payload = content[len(MAGIC) : head], content[head:]
    whole = content.startswith(MAGIC) and hashlib.sha256(payload).digest() == digest
    return payload if whole else None
