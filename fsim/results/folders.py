"""Folders of results: how new results take the place of old ones, and nothing is lost meanwhile.

Whoever works on ``DIR/NAME`` (resolved: links followed, ``..`` gone) has a hidden folder beside it,
``DIR/.NAME.fsim``, the work folder, and in it ``lock``, held until the end. That file is also how a
work folder is known as fsim's. New results are written to ``half`` in it. Then, step by step, each
safe to be killed after:

1. ``half`` gets its manifest. The old results were not touched.
2. ``half`` becomes ``whole``: now it is complete, and its manifest names all that it holds.
3. If NAME is of version 0.1.0, it gets a manifest, which adds a file and changes none.
4. ``whole`` and NAME are exchanged, in one step where the system can (``renameat2`` of Linux). NAME
   holds the new results whole, and ``whole`` the old ones. If nothing was at NAME, ``whole`` just
   becomes NAME. Where there is no such step, NAME becomes ``old`` and then ``whole`` becomes NAME;
   killed in between, the next command finds no NAME and a ``whole``, and makes that NAME.
5. Of ``whole`` (or ``old``) each file that its manifest names is removed, and each other one, which
   somebody else put there, moves back to NAME. The manifest goes last: killed, the next command
   reads it and goes on. A file whose name is taken by then gets another one, and that is told.
6. ``lock`` and the work folder are removed.

So at any moment NAME holds the old results or the new ones, and what others wrote is at NAME or,
between 4 and 5, in the work folder, from which it is only ever moved. What a killed command left is
cleared by the next one for the same folder, in the same way (``_recover``), before it begins.

A sweep is written where it stays, for it goes on from its finished cells; only one that is to
replace something else is written to ``grown`` first, which is left there until such a sweep is done
or anything else is.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from fsim.core.errors import OutputError
from fsim.core.files import UNFINISHED
from fsim.results.location import resolved
from fsim.results.manifest import (
    ADAPTER,
    COLLECTION,
    FIGURE_FILES,
    FILES,
    MANIFEST,
    REPORT,
    SUMMARY,
    TIMELINES,
    Identity,
    Manifest,
    free_name,
    manifest_of,
    tell,
    tell_renamed,
    written_below,
)

LOCK, HALF, GROWN, WHOLE, OLD = "lock", "half", "grown", "whole", "old"

_EXCHANGE, _NOREPLACE = 2, 1
_AT_FDCWD = -100
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Of errors that name no file: those of writing one."""
_NO_SUCH_CALL = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


@contextmanager
def replacing(folder: Path, identity: Identity, *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write to, which becomes ``folder`` when all is written.

    If writing fails, what ``folder`` held before is left as it was.

    Parameters
    ----------
    folder
        New, empty, or one of results. Files in it that fsim did not write stay.
    identity
        What the new results are of. Results of something else are refused.
    overwrite
        They are replaced.

    Raises
    ------
    OutputError
        Before anything is written: the folder holds something else, cannot be written or replaced,
        or another process is at work on it. Later: the disk is full, or the place has changed.
    """
    with _work(folder) as (place, work), _writing_errors(folder, place, work):
        _check(folder, place, identity, overwrite=overwrite)
        _discard(work / GROWN)
        with _staged(folder, place, work / HALF, identity, overwrite=overwrite):
            yield work / HALF


@contextmanager
def growing(folder: Path, identity: Identity, *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write to bit by bit, in which an earlier call that was killed left its part.

    It is ``folder`` itself, unless results of something else are to be replaced: these are when all
    is written, as by :func:`replacing`, and the part is left in the work folder until then.
    """
    with _work(folder) as (place, work), _writing_errors(folder, place, work):
        manifest = _check(folder, place, identity, overwrite=overwrite)
        if manifest is not None and manifest.identity.loses(identity) is not None:
            grown = work / GROWN
            part = _part(grown)
            if part is None or part.identity.loses(identity) is not None:
                _discard(grown)
                part = None
            with _staged(folder, place, grown, identity, overwrite=overwrite):
                _begin(grown, identity, part)
                yield grown
            return
        _check_runs(folder, place, identity)
        _discard(work / GROWN)
        there = place.is_dir()
        place.mkdir(exist_ok=True)
        try:
            _begin(place, identity, Manifest.read(place) or manifest)
            yield place
        finally:
            with suppress(OSError):
                if not there and set(os.listdir(place)) <= {MANIFEST}:  # nothing came of it
                    (place / MANIFEST).unlink(missing_ok=True)
                    place.rmdir()


def _begin(place: Path, identity: Identity, earlier: Manifest | None) -> None:
    """Write the manifest, and clear what killed runs left beside the folders of finished ones."""
    for name in identity.runs.values():
        if _work_folder(place / name).is_dir():
            with suppress(OutputError), _work(place / name):
                pass
    files = frozenset() if earlier is None else earlier.files
    runs = {f"{name}/{MANIFEST}" for name in identity.runs.values()}
    Manifest(identity, files | runs).write(place)


def _part(part: Path) -> Manifest | None:
    """The manifest of a folder in the work folder; None if it has none that can be read."""
    try:
        manifest = Manifest.read(part)
        return None if manifest is None else manifest.with_runs(part)
    except OutputError:
        return None


@contextmanager
def _writing_errors(folder: Path, *places: Path) -> Iterator[None]:
    """Tell in a line that a folder cannot be written; errors of files elsewhere stay their own."""
    try:
        yield
    except OSError as error:
        if isinstance(error.filename, str | os.PathLike):
            ours = any(Path(error.filename).is_relative_to(place) for place in places)
        else:
            ours = error.errno in _WRITING
        if not ours:
            raise
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from None


@contextmanager
def _work(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The resolved folder and its work folder, which nobody else has meanwhile."""
    place = resolved(folder)
    work = _work_folder(place)
    lock = FileLock(work / LOCK)
    with _writing_errors(folder, place.parent, *place.parents):
        place.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(work) and not _is_work_folder(work):
            raise OutputError(f"{work}: found something that fsim did not make, allowed is none")
        try:
            work.mkdir(exist_ok=True)
            lock.acquire(blocking=False)
        except (Timeout, FileNotFoundError):  # not found: its owner has just removed it
            raise OutputError(f"{folder}: another process is at work on it") from None
    try:
        with _writing_errors(folder, place, work):
            _recover(place, work)
        yield place, work
    finally:
        try:
            _recover(place, work)
        except OSError as error:
            tell(f"{folder}: what was there before is left in {work}: {error.strerror or error}")
        with suppress(OSError):
            if os.listdir(work) == [LOCK]:
                (work / LOCK).unlink()
                work.rmdir()
        lock.release()


def _work_folder(place: Path) -> Path:
    return place.with_name(f".{place.name}.fsim")


def _is_work_folder(work: Path) -> bool:
    if work.is_symlink() or not work.is_dir():
        return False
    names = os.listdir(work)
    return LOCK in names or not names


def _check(
    folder: Path, place: Path, identity: Identity, *, overwrite: bool, strangers: bool = False
) -> Manifest | None:
    """Manifest of the results at a place, if new ones may replace them.

    Parameters
    ----------
    strangers
        Whether a folder may hold other files and no results, as it may once there are new ones.

    Raises
    ------
    OutputError
        They may not, or the place holds something else.
    """
    if not os.path.lexists(place):
        return None
    if not _is_folder(place):
        raise OutputError(f"{folder}: found a file, allowed is a folder for the results")
    manifest = manifest_of(place)
    if manifest is None or manifest.identity.kind == COLLECTION:
        # What was never finished is nobody's.
        others = [each for each in place.iterdir() if not each.name.startswith(UNFINISHED)]
        if others and not strangers:
            raise OutputError(
                f"{folder}: found a folder with other files in it, allowed is an empty one or an "
                f"earlier {identity.kind}'s"
            )
        return manifest
    lost = manifest.identity.loses(identity)
    if lost is not None and not overwrite:
        raise OutputError(
            f"{folder}: found {lost}; allowed is another --out, or --overwrite, which replaces it"
        )
    if not strangers:
        runs = (f"{name}/{SUMMARY}" for name in identity.runs.values())
        for name in (*FILES[identity.kind], *FIGURE_FILES, *runs):
            _check_free(folder, place, name, manifest)
    return manifest


def _check_free(folder: Path, place: Path, name: str, manifest: Manifest) -> None:
    """Refuse a file of somebody else's where a new one has to be."""
    target = place / name
    above, _, _ = name.rpartition("/")
    if above and os.path.lexists(place / above) and not _is_folder(place / above):
        target = place / above
    elif not os.path.lexists(target) or name in manifest.files:
        return
    raise OutputError(
        f"{folder}: found {target.relative_to(place)}, which fsim did not write and whose name the "
        "new results need; allowed is another --out, or another name for it"
    )


def _check_runs(folder: Path, place: Path, identity: Identity) -> None:
    """Refuse folders of somebody else's where those of runs have to be."""
    for name in identity.runs.values():
        below = place / name
        if os.path.lexists(below) and (
            not _is_folder(below) or (any(below.iterdir()) and manifest_of(below) is None)
        ):
            raise OutputError(
                f"{folder}: found {name}, which fsim did not write and whose name the new results "
                "need; allowed is another --out, or another name for it"
            )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _try_names(place: Path, identity: Identity) -> None:
    """Find out now whether the longest name of a run's folder is too long; OSError if it is."""
    if identity.runs:
        longest = max(identity.runs.values(), key=lambda name: len(os.fsencode(name)))
        trial = _work_folder(place / longest)
        if not trial.exists():
            trial.mkdir()
            trial.rmdir()


@contextmanager
def _staged(
    folder: Path, place: Path, half: Path, identity: Identity, *, overwrite: bool
) -> Iterator[None]:
    """A folder in the work folder, put in place when all is written."""
    whole = half.with_name(WHOLE)
    half.mkdir(exist_ok=True)
    _try_names(half, identity)
    yield
    Manifest(identity, written_below(half)).write(half)
    os.rename(half, whole)
    # The run took its time: what is there now may be something else than what was there before.
    manifest = _check(folder, place, identity, overwrite=overwrite, strangers=True)
    if manifest is not None and not os.path.lexists(place / MANIFEST):
        manifest.write(place)
    mode = place.stat().st_mode if place.is_dir() else None
    _put(whole, place, half.with_name(OLD))
    if mode is not None:
        place.chmod(stat.S_IMODE(mode))


def _put(whole: Path, place: Path, old: Path) -> None:
    """Make new results those of the place; what was there is then at ``whole`` or ``old``."""
    if not os.path.lexists(place):
        os.rename(whole, place)
    elif not _renameat2(whole, place, _EXCHANGE):
        os.rename(place, old)
        try:
            os.rename(whole, place)
        except OSError:
            os.rename(old, place)
            raise


def _renameat2(source: Path, target: Path, how: int) -> bool:
    """Rename in Linux's own way; False where that cannot be done, OSError where it fails."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    paths = (_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target))
    if call(*paths, ctypes.c_uint(how)) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_SUCH_CALL:
        return False
    raise OSError(code, os.strerror(code), str(target))


def _recover(place: Path, work: Path) -> None:
    """Clear what is in a work folder, whenever it was left; OSError if that cannot be done."""
    if not os.path.lexists(place):
        for part in (work / WHOLE, work / OLD):
            if part.is_dir():
                os.rename(part, place)
                break
    _discard(work / HALF)
    if place.is_dir():
        for part in sorted(work.iterdir()):
            if _is_folder(part) and part.name != GROWN:
                _settle(part, place)


def _settle(part: Path, place: Path) -> None:
    """Remove from a folder what its manifest names, and move all else to the place."""
    manifest = _part(part)  # where it cannot be read nothing is known as fsim's
    _give_back(part, place, frozenset() if manifest is None else manifest.files)


def _give_back(part: Path, place: Path, files: frozenset[str], prefix: str = "") -> None:
    # The manifest goes last, because it tells the rest.
    for entry in sorted(os.scandir(part), key=lambda entry: (entry.name == MANIFEST, entry.name)):
        name, source, target = prefix + entry.name, part / entry.name, place / entry.name
        if entry.is_dir(follow_symlinks=False):
            own = any(each.startswith(f"{name}/") for each in files)
            if own or entry.name == ADAPTER or _is_folder(target):
                _give_back(source, target, files, f"{name}/")
            else:
                _move(source, target)
        elif name in files or entry.name.startswith(UNFINISHED):
            os.unlink(source)
        else:
            _move(source, target)
    os.rmdir(part)


def _move(source: Path, target: Path) -> None:
    """Move what somebody else wrote, onto nothing else."""
    target.parent.mkdir(parents=True, exist_ok=True)
    occupied = os.path.lexists(target)
    destination = free_name(target) if occupied else target
    if not _renameat2(source, destination, _NOREPLACE):
        os.rename(source, destination)
    if occupied:
        tell_renamed(target, destination)


def _discard(folder: Path) -> None:
    """Remove a folder that was never whole, except what has a name that fsim gives to nothing."""
    # It has no manifest yet, and others have no cause to write there; if they did, that stays.
    ours = {Path(name).name for names in FILES.values() for name in names}
    ours |= {MANIFEST, REPORT, *TIMELINES, LOCK, *FIGURE_FILES}
    for place, _, files in os.walk(folder, topdown=False):
        for name in files:
            if name in ours or name.startswith(UNFINISHED):
                (Path(place) / name).unlink()
        with suppress(OSError):
            os.rmdir(place)
    if folder.is_dir():  # moved to its place with all else that is left
        os.rename(folder, free_name(folder))
