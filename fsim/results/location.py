"""Location of a folder of results, checked before anything is done for it."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from fsim.core.errors import OutputError

DEEPEST = 200
"""Folders within each other, which making them goes through one call within the other."""


def resolved(folder: Path) -> Path:
    """Resolve the path of a folder of results.

    Raises
    ------
    OutputError
        Nothing can be written there, or it could not be replaced.
    """
    try:
        for each in (folder, *folder.parents):
            if each.is_symlink() and not each.exists():
                raise OutputError(f"{each}: found a link to nothing, allowed is one to a folder")
        place = folder.resolve()
        _check_place(folder, place)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{folder}: cannot be written: {reason}") from None
    return place


def _check_place(folder: Path, place: Path) -> None:
    """Refuse a place that could not be exchanged for another one in the end, or not be written."""
    inside = "allowed is a folder inside it"
    if len(place.parts) > DEEPEST:
        raise OutputError(
            f"{folder}: found {len(place.parts)} folders within each other, allowed are {DEEPEST}"
        )
    try:
        str(place).encode("utf-8")
    except UnicodeEncodeError:  # which Parquet's library cannot write to
        raise OutputError(
            f"{folder}: found a name that is no UTF-8, allowed are those that are"
        ) from None
    there = next(each for each in (place, *place.parents) if os.path.lexists(each))
    if not there.is_dir():
        where = "" if there == place else f" at {there}"
        raise OutputError(f"{folder}: found a file{where}, allowed is a folder for the results")
    if place == place.parent:
        raise OutputError(f"{folder}: found the root of all folders, {inside}")
    with suppress(FileNotFoundError):
        if Path.cwd().resolve().is_relative_to(place):
            raise OutputError(
                f"{folder}: found the folder that this command runs in, or one above it; {inside}"
            )
    for mount in _mounts():
        if mount == place or place in mount.parents:
            what = "a mount point" if mount == place else f"a folder with a mount point, {mount},"
            raise OutputError(f"{folder}: found {what} which cannot be replaced; {inside}")
    tempfile.TemporaryFile(dir=there).close()
    if there != place:
        return
    tempfile.TemporaryFile(dir=place.parent).close()
    owner, above = place.stat(), place.parent.stat()
    if above.st_mode & stat.S_ISVTX and os.geteuid() not in (0, owner.st_uid, above.st_uid):
        raise OutputError(f"{folder}: found a folder of another user, {inside}")


def _mounts() -> list[Path]:
    """Mount points of file systems, as Linux tells them; elsewhere none."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return []
    # Blanks and such are written as three octal digits.
    names = (line.split()[4].decode("unicode_escape").encode("latin-1") for line in lines)
    return [Path(os.fsdecode(name)) for name in names]
