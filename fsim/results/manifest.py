"""Manifest of a folder of results, by which fsim tells its own files from all others.

``fsim-manifest.json`` says what the folder's results are of, and names each file that fsim wrote.
Only these are ever replaced or removed. The runs within a comparison or a sweep have manifests of
their own, which stand for their files. Folders of version 0.1.0 have none: there the content of
the files that fsim writes tells whose they are, and their names which may be replaced.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from fsim.core.documents import LARGEST_FILE, parse_json, read_text
from fsim.core.errors import OutputError
from fsim.core.files import unfinished

if sys.platform != "win32":
    import fcntl

SUMMARY = "summary.json"
SCENARIO = "scenario.yaml"
RECORDS = "records.parquet"
EVALUATIONS = "evaluations.parquet"
COMPARISON = "comparison.csv"
STATISTICS = "statistics.csv"
BUDGET = "budget.csv"
SWEEP = "sweep.json"
TABLE = "sweep.csv"
REPORT = "report.html"
TIMELINES = ("timeline.pftrace", "timeline.json")
ADAPTER = "adapter"
MANIFEST = "fsim-manifest.json"

MANIFEST_SCHEMA = 1
"""Version of ``fsim-manifest.json``."""

SWEEP_SCHEMA = 1
"""Version of ``sweep.json``."""

FILES: Mapping[str, tuple[str, ...]] = {
    "run": (
        SUMMARY,
        SCENARIO,
        RECORDS,
        EVALUATIONS,
        f"{ADAPTER}/adapter_model.safetensors",
        f"{ADAPTER}/adapter_config.json",
    ),
    "comparison": (COMPARISON, STATISTICS, BUDGET),
    "sweep": (SWEEP, TABLE),
}
"""Kind of results -> the files of it, but for those of the runs in folders of their own."""

FORMATS = ("png", "svg")
"""Forms of a figure's file, which are the endings of its name."""

_FIGURES_OF_0_1_0 = (
    "accuracy_over_time",
    "accuracy_over_uplink",
    "pareto",
    "round_breakdown",
    "payload_breakdown",
    "stragglers",
    "accuracy_by_label",
    "energy_per_round",
    "battery_drain",
    "scalability",
    "sweep_heat_map",
)
"""History, to which nothing is added: what version 0.1.0 drew."""

FIGURE_FILES = tuple(f"{name}.{kind}" for name in _FIGURES_OF_0_1_0 for kind in FORMATS)
"""Files of figures that are known as fsim's without a manifest, in which all others are entered as
they are written."""

COLLECTION = "collection"
"""Kind of a folder in which fsim drew something, and which is none of its results'."""

_SUMMARY_KEYS = ("schema", "label", "status", "metrics", "scenario_sha256")
_OLDER = (f"{ADAPTER}/README.md", ".lock")

_log = logging.getLogger("fsim.results")


@dataclass(frozen=True)
class Identity:
    """Identity of results: others of the same identity may replace them unasked.

    Attributes
    ----------
    kind
        ``run``, ``comparison`` or ``sweep``.
    name
        The scenario's.
    digest
        SHA-256 of what all runs have in common; empty if that is not known.
    runs
        Of a comparison or a sweep: what each run is called, and its folder.
    """

    kind: str
    name: str
    digest: str
    runs: Mapping[str, str] = field(default_factory=dict)

    def loses(self, new: Identity) -> str | None:
        """Description of what is lost if the new takes the place of this; None if nothing is."""
        description = f"a {self.kind} of scenario {self.name!r}"
        if self.kind != new.kind:
            return description
        # A sweep's cells have a digest of all their settings in their names.
        if self.kind != "sweep" and self.name != new.name:
            return description
        if self.kind != "sweep" and (self.digest != new.digest or not self.digest):
            return f"{description} with other settings"
        if lost := self.runs.keys() - new.runs.keys():
            another = f"another {self.kind} of scenario {self.name!r}"
            runs = "1 run" if len(lost) == 1 else f"{len(lost)} runs"
            return f"{another}, with {runs} that this one lacks ({min(lost)})"
        return None


@dataclass(frozen=True)
class Manifest:
    """An identity, and the files that fsim wrote, as paths below the folder with ``/``."""

    identity: Identity
    files: frozenset[str]

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """A folder's manifest as it is there; None if it has none.

        Raises
        ------
        OutputError
            It is damaged, or of a version that cannot be read.
        """
        path = folder / MANIFEST
        if not os.path.lexists(path):
            return None
        try:
            if not path.is_file():
                raise ValueError("found no file")
            data = parse_json(read_text(path, LARGEST_FILE))
            if data["schema"] != MANIFEST_SCHEMA:
                raise OutputError(
                    f"{path}: found version {data['schema']!r}, allowed is {MANIFEST_SCHEMA}"
                )
            identity = Identity(*(data[key] for key in ("kind", "name", "digest", "runs")))
            words = [identity.kind, identity.name, identity.digest, *data["files"]]
            words += [*identity.runs.keys(), *identity.runs.values()]
            if not all(isinstance(word, str) for word in words):
                raise TypeError("found something other than text")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutputError(
                f"{path}: cannot be read: {' '.join(str(error).split())}; allowed is another --out"
            ) from None
        return cls(identity, frozenset({MANIFEST, *data["files"]}))

    def with_runs(self, folder: Path) -> Manifest:
        """The manifest, and what those of the runs below the folder say of these.

        Raises
        ------
        OutputError
            One of them cannot be read.
        """
        files = set(self.files)
        for name in self.files:
            below, _, last = name.rpartition("/")
            if below and last == MANIFEST and _is_below(folder, below):
                files |= {f"{below}/{each}" for each in _files_of(folder / below)}
        return replace(self, files=frozenset(files))

    def write(self, folder: Path) -> None:
        """Write it whole or not at all; OSError if it cannot be written."""
        identity = self.identity
        data = {
            "schema": MANIFEST_SCHEMA,
            "fsim": version("fsim"),
            "kind": identity.kind,
            "name": identity.name,
            "digest": identity.digest,
            "runs": dict(identity.runs),
            "files": sorted(self.files - {MANIFEST}),
        }
        text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
        temporary = unfinished(folder / MANIFEST)
        try:
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, folder / MANIFEST)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def manifest_of(folder: Path) -> Manifest | None:
    """Manifest of a folder, read or as of version 0.1.0; None if fsim wrote nothing there.

    Raises
    ------
    OutputError
        The manifest cannot be read.
    """
    manifest = Manifest.read(folder)
    return _older(folder) if manifest is None else manifest.with_runs(folder)


def written_below(folder: Path) -> frozenset[str]:
    """All files below a folder, as a manifest names them."""
    return frozenset(
        (Path(place) / name).relative_to(folder).as_posix()
        for place, _, files in os.walk(folder)
        for name in files
    )


def adopt(folder: Path) -> None:
    """Give a folder a manifest before something is drawn in it, if it has none.

    Raises
    ------
    OutputError
        The manifest cannot be read or written.
    """
    try:
        with _alone(folder):
            if not os.path.lexists(folder / MANIFEST):
                none = Manifest(Identity(COLLECTION, folder.resolve().name, ""), frozenset())
                (_older(folder) or none).write(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from None


def enter(path: Path) -> None:
    """Enter a file that is about to be written into its folder's manifest, if that has one.

    A file that fsim did not write is kept, under another name, and that is told.

    Raises
    ------
    OutputError
        The manifest cannot be read.
    """
    if not os.path.lexists(path.parent / MANIFEST):
        return
    with _alone(path.parent):
        manifest = Manifest.read(path.parent)
        if manifest is None or path.name in manifest.files:
            return
        if os.path.lexists(path):
            new = free_name(path)
            os.rename(path, new)
            tell_renamed(path, new)
        # Entered first: what a killed process wrote is then known as its own.
        replace(manifest, files=manifest.files | {path.name}).write(path.parent)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process enters anything meanwhile, where the system can see to that."""
    descriptor = os.open(folder, os.O_RDONLY) if sys.platform != "win32" else -1
    try:
        if sys.platform != "win32":
            with suppress(OSError):  # over a network, perhaps
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def free_name(path: Path) -> Path:
    """``NAME.1``, or the next number that nothing beside it has."""
    number = 1
    while os.path.lexists(path.with_name(f"{path.name}.{number}")):
        number += 1
    return path.with_name(f"{path.name}.{number}")


def tell_renamed(path: Path, new: Path) -> None:
    """Say that what somebody else wrote has another name now."""
    tell(f"{path}: found one that fsim did not write, now {new.name}")


def tell(text: str) -> None:
    """Say in a line what does not end the command."""
    _log.warning("%s", text)


def _is_below(folder: Path, below: str) -> bool:
    """True if a name is that of a folder truly within another one."""
    place = folder / below
    return place.is_dir() and place.resolve().is_relative_to(folder.resolve()) and place != folder


def _files_of(folder: Path) -> frozenset[str]:
    manifest = Manifest.read(folder)
    return frozenset() if manifest is None else manifest.files


def _older(folder: Path) -> Manifest | None:
    """Manifest of a folder of version 0.1.0, by the content of its files; None if it is none."""
    try:
        if (summary := _summary(folder)) is not None:
            identity = Identity("run", str(summary.get("name")), str(summary["scenario_sha256"]))
            below: list[str] = []
        elif (folder / SWEEP).is_file():
            data = parse_json(read_text(folder / SWEEP, LARGEST_FILE))
            if data["schema"] != SWEEP_SCHEMA:
                return None
            below = [str(cell["folder"]) for cell in data["cells"]]
            name = _name(folder, below)
            identity = Identity("sweep", name, "", {cell: cell for cell in below})
        elif (folder / COMPARISON).is_file():
            below = sorted(each.name for each in folder.iterdir() if _summary(each) is not None)
            if not below or "policy" not in pd.read_csv(folder / COMPARISON, nrows=0):
                return None
            identity = Identity("comparison", _name(folder, below), "")
        else:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    outputs = [*FIGURE_FILES, REPORT, *TIMELINES]
    files = {*FILES[identity.kind], *_OLDER, *outputs}
    for name in below:
        if "/" not in name and _summary(folder / name) is not None:
            own = _files_of(folder / name) or [*FILES["run"], *_OLDER, *outputs]
            files |= {f"{name}/{each}" for each in own}
    return Manifest(identity, frozenset(files & written_below(folder)))


def _summary(folder: Path) -> dict[str, Any] | None:
    """The summary that fsim wrote of a run; None for anything else."""
    path = folder / SUMMARY
    try:
        summary = parse_json(read_text(path, LARGEST_FILE)) if path.is_file() else None
    except (OSError, ValueError):
        return None
    valid = isinstance(summary, dict) and all(key in summary for key in _SUMMARY_KEYS)
    return summary if valid else None


def _name(folder: Path, below: list[str]) -> str:
    """The scenario's name, as the first run tells it."""
    summaries = (_summary(folder / name) for name in below)
    return next((str(each.get("name")) for each in summaries if each is not None), "")
