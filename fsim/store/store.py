"""A store of results under the hash of everything that produced them.

One file an entry, in a folder or at a URL that any number of processes may share. An entry is
written whole or not at all, carries a checksum of its key and its content, and is thrown away, with
a warning, when it is damaged or another key's.

A folder is a store if it has the file ``fsim-store``, which is written before the first entry, or
if it has nothing but entries, as a store of fsim 0.1.0. A folder with anything else is refused.
What is not an entry is never read, counted, replaced or removed, in a store neither: an entry is a
plain file, not reached through a link, whose name is ``AB/CDEF...`` of 2 and 62 hexadecimal digits
and that begins with the magic. Entries of fsim 0.1.0, whose checksum does not cover the key, are
computed again when they are asked for; they count, and may be pruned, as any other.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from fsim.core.errors import OutputError, ScenarioError, shown
from fsim.store.folder import MARKER, Files, FolderFiles, Kind, StoredFile

MAGIC = b"FSIMSTO2"
"""Followed by 16 bytes of the key, 16 of the SHA-256 of these and the payload, and the payload."""

EARLIER_MAGIC = b"FSIMSTO1"
"""Of fsim 0.1.0; followed by the SHA-256 of the payload alone, and the payload."""

HEAD = 40
"""Bytes of an entry before its payload."""

MARK = b"A store of fsim: `fsim store --help` tells of it.\n"
"""What the marker says."""

DEFAULT_LIMIT = 20_000_000_000
"""Bytes that a store is kept below after each run, the least recently used entries going first."""

ABANDONED_S = 3600
"""Age at which a file that was left half-written belongs to nobody any more."""

_EARLIER_TEMPORARY = re.compile(r"[0-9a-f]{2}/\.[a-z0-9_]{8}")
_log = logging.getLogger("fsim.store")


@dataclass(frozen=True)
class StoreInfo:
    """Number and size of a store's entries."""

    folder: Path | str
    entries: int
    size: int


class State(StrEnum):
    """State of a file with an entry's name, found by reading it."""

    WHOLE = "whole"
    EARLIER = "of fsim 0.1.0"
    DAMAGED = "damaged"
    SWAPPED = "swapped"
    """Whole, but another key's."""
    STRANGER = "stranger"


@dataclass(frozen=True)
class Fault:
    """Fault of a store: a damaged or swapped entry, a damaged marker, or a stranger."""

    place: Path | str
    state: State


class Store:
    """Entries of bytes by key, which is a SHA-256 in hexadecimal (:func:`key_of`).

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
    OutputError
        The folder holds something else than a store, or cannot be read.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = folder if is_url(folder) else Path(folder)
        self.damaged = 0
        self._files = _files(self.folder)
        self._marked = self._check()

    def get(self, key: str) -> bytes | None:
        """The entry of that key; None if there is none, or if it is not to be believed."""
        name = _name(key)
        content = self._files.read(name)
        if content is None:
            return None
        state = _state(name, content)
        if state is State.WHOLE:
            self._files.used(name)
            return content[HEAD:]
        if state in (State.DAMAGED, State.SWAPPED):
            self.damaged += 1
            _log.warning(
                "%s: %s entry removed, its result is computed again", self._files.place(name), state
            )
            self._files.remove(name)
        elif state is State.EARLIER:
            _log.warning(
                "%s: entry of fsim 0.1.0, its result is computed again", self._files.place(name)
            )
        return None

    def put(self, key: str, payload: bytes) -> None:
        """Write an entry: after a crash at any moment it is there whole, or not there.

        Where something else than an entry is in its place, that is left alone, with a warning.

        Raises
        ------
        OutputError
            The disk is full, or the place cannot be written.
        """
        name = _name(key)
        there = self._files.read(name, len(MAGIC))
        if there is not None and not _has_magic(there):
            _log.warning(
                "%s: found something else than an entry, which is left alone; the result is not "
                "kept",
                self._files.place(name),
            )
            return
        if not self._marked:
            self._files.write(MARKER, MARK)
            self._marked = True
        part = _key_part(name)
        self._files.write(name, MAGIC + part + _checksum(part, payload) + payload)

    def info(self) -> StoreInfo:
        """Entries and their bytes."""
        sizes = [entry.size for entry in self._entries(self._files.listing())]
        return StoreInfo(self.folder, len(sizes), sum(sizes))

    def faults(self) -> Iterator[Fault]:
        """Read every entry, and tell all that is wrong; nothing is removed."""
        for each in self._files.listing():
            state = self._file_state(each)
            if state not in (State.WHOLE, State.EARLIER):
                yield Fault(self._files.place(each.name), state)

    def verify(self) -> list[Path | str]:
        """Places of all :meth:`faults`."""
        return [fault.place for fault in self.faults()]

    def tidy(self) -> None:
        """After runs: keep a folder below :data:`DEFAULT_LIMIT`; a warning where that fails.

        A store at a URL is other people's too, and to list it may cost as much as a run: it is left
        to ``fsim store prune``.
        """
        if isinstance(self.folder, Path):
            try:
                self.prune(DEFAULT_LIMIT)
            except OutputError as error:  # no reason to lose what has been run
                _log.warning("store not tidied: %s", error)

    def prune(self, limit: int) -> int:
        """Remove the least recently used entries until at most ``limit`` bytes are left.

        Files that a killed process left half-written are removed as well, once they are an hour
        old: younger ones may be another process's at work. At a URL nothing tells when an entry was
        read, and the first written go first.

        Returns
        -------
        int
            Number of entries removed.

        Raises
        ------
        OutputError
            A file cannot be removed.
        """
        entries = []
        for each in self._files.listing():
            if each.kind is Kind.ENTRY:
                entries.append(each)
            elif each.kind is Kind.TEMPORARY and time.time() - each.used > ABANDONED_S:
                self._files.remove(each.name)
        if sum(entry.size for entry in entries) <= limit:
            return 0  # whatever they are
        entries = self._entries(entries)
        entries.sort(key=lambda entry: entry.used, reverse=True)
        size = removed = 0
        for entry in entries:
            size += entry.size
            if size > limit:
                self._files.remove(entry.name)
                removed += 1
        return removed

    def everywhere(self) -> Store:
        """The same store by a name that does not depend on the folder a process works in."""
        return Store(self.folder.resolve()) if isinstance(self.folder, Path) else self

    def _check(self) -> bool:
        """True if the folder is marked as a store.

        Raises
        ------
        OutputError
            It is not, and holds something else than entries.
        """
        mark = self._files.read(MARKER)
        if mark == MARK:
            return True
        entries, stranger = [], None
        for each in self._files.listing():
            cut_short = each.kind is Kind.MARKER and MARK.startswith(mark or b"")
            unfinished = each.kind is Kind.TEMPORARY or _EARLIER_TEMPORARY.fullmatch(each.name)
            if each.kind is Kind.ENTRY:
                entries.append(each)
            elif not (cut_short or unfinished):
                stranger = each
                break
        else:
            names = {entry.name for entry in self._entries(entries)}
            stranger = next((each for each in entries if each.name not in names), None)
        if stranger is None:
            return False
        if self._files.read(MARKER) == MARK:  # another process has begun meanwhile
            return True
        raise OutputError(
            f"{self.folder}: found a folder that is no store, with {stranger.name} in it; allowed "
            "is a store, or a folder that is empty or not there yet"
        )

    def _entries(self, files: Iterable[StoredFile]) -> list[StoredFile]:
        """Those that are entries by name and by magic."""
        candidates = [each for each in files if each.kind is Kind.ENTRY and each.size >= len(MAGIC)]
        beginnings = self._files.beginnings([each.name for each in candidates], len(MAGIC))
        return [
            each
            for each, beginning in zip(candidates, beginnings, strict=True)
            if _has_magic(beginning or b"")
        ]

    def _file_state(self, file: StoredFile) -> State:
        if file.kind is Kind.STRANGER:
            return State.STRANGER
        if file.kind is Kind.TEMPORARY:
            return State.WHOLE  # as far as anybody can tell
        content = self._files.read(file.name)
        if content is None:
            return State.WHOLE  # another process has removed it meanwhile
        if file.kind is Kind.MARKER:
            return State.WHOLE if content == MARK else State.DAMAGED
        return _state(file.name, content)


def as_store(store: Store | Path | str | None) -> Store | None:
    """The store that is meant, in whichever form it is given; None for none.

    Parameters
    ----------
    store
        One that is open; a folder or a URL; ``"none"``; or None for ``FSIM_STORE``, and without
        that the user's cache.

    Raises
    ------
    ScenarioError, OutputError
        Something else, or what :class:`Store` raises.
    """
    if isinstance(store, Store):
        return store
    if not isinstance(store, str | Path | None):
        raise ScenarioError(f'store: found {shown(store)}, allowed is a folder, a URL or "none"')
    folder = place(store)
    return None if folder is None else Store(folder)


def key_of(**parts: Any) -> str:
    """The SHA-256 of named parts that JSON can express, whatever their order."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def place(location: str | Path | None) -> Path | str | None:
    """Location of the store: as given, else ``FSIM_STORE``, else the user's cache.

    Returns
    -------
    Path, str or None
        A folder, a URL, or None for "none".
    """
    choice = location or os.environ.get("FSIM_STORE")
    if choice == "none":
        return None
    if choice:
        return choice if is_url(choice) else Path(choice)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fsim" / "store"


def is_url(place: Path | str) -> bool:
    """True if a place is a URL, as ``memory://fsim``, rather than a path."""
    return isinstance(place, str) and "://" in place


def _files(folder: Path | str) -> Files:
    if isinstance(folder, Path):
        return FolderFiles(folder)
    # Whoever has a folder need not have fsspec.
    from fsim.store.url import UrlFiles

    return UrlFiles(folder)


def _name(key: str) -> str:
    return f"{key[:2]}/{key[2:]}"


def _key_part(name: str) -> bytes:
    """Part of its key that an entry holds: enough of it to tell any two apart."""
    return bytes.fromhex(name.replace("/", ""))[:16]


def _checksum(part: bytes, payload: bytes) -> bytes:
    digest = hashlib.sha256(part)
    digest.update(payload)
    return digest.digest()[:16]


def _has_magic(content: bytes) -> bool:
    return content.startswith((MAGIC, EARLIER_MAGIC))


def _state(name: str, content: bytes) -> State:
    """State of a file with an entry's name, by its content."""
    if not _has_magic(content):
        return State.STRANGER
    start, payload = len(MAGIC), content[HEAD:]
    if content.startswith(EARLIER_MAGIC):
        same = hashlib.sha256(payload).digest() == content[start:HEAD]
        return State.EARLIER if same else State.DAMAGED
    part, digest = content[start : start + 16], content[start + 16 : HEAD]
    if digest != _checksum(part, payload):
        return State.DAMAGED
    return State.WHOLE if part == _key_part(name) else State.SWAPPED
