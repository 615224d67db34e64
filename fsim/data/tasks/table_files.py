"""Rows of data sets: from local parquet, JSON and CSV files, or from the ``datasets`` package."""

from __future__ import annotations

import csv
import importlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fsim.core.documents import parse_json
from fsim.core.errors import FsimError, ScenarioError
from fsim.data.tasks.base import FileFinder
from fsim.data.tasks.jsonl import read_lines
from fsim.data.tasks.templates import Row, missing_field

Rows = Iterator[tuple[str, Row]]
"""Each row after the place that errors name it by."""


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def local_path(dataset: str, find: FileFinder) -> Path | None:
    """The folder or file of that path, or None if it must be a name on the hub."""
    try:
        path = find(dataset)
    except FsimError:
        path = Path(dataset)  # a finder may look for files alone
    if path.exists():
        return path
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", dataset):
        raise ScenarioError(
            f"task.dataset: found {dataset!r}, allowed are a local folder or file, and a name on "
            "the hub (owner/name)"
        )
    return None


def hub_rows(dataset: str, subset: str, split: str, columns: Sequence[str]) -> Rows:
    """The rows of a data set of the hub, by the ``datasets`` package and its cache.

    Raises
    ------
    ScenarioError
        The package is missing, the data set cannot be had, or a column is not in it.
    """
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        raise ScenarioError(
            "task hub needs the 'datasets' package: pip install fsim[hub]"
        ) from None
    try:
        rows = datasets.load_dataset(dataset, subset or None, split=split)
    except Exception as error:  # of its own, the hub's or the HTTP client's kinds: all end the run
        raise ScenarioError(
            f"task.dataset: {dataset}: no such local folder, and not to be had by name: "
            f"{_first_line(error)}"
        ) from None
    place = f"{dataset} {split}"
    for name in columns:
        if name not in rows.column_names:
            raise ScenarioError(missing_field(place, name, rows.column_names))
    for number, row in enumerate(rows.select_columns(list(columns)), 1):
        yield f"{place}: row {number}", row


def subset_folder(folder: Path, subset: str, usual: str) -> Path:
    """Folder of a subset in a local one: the one of its name, as on the hub.

    A preset's usual subset may also lie in the folder itself.
    """
    if subset and not (folder / subset).is_dir():
        raise ScenarioError(f"{folder}: subset: found no folder {subset!r} in it")
    inner = folder / (subset or usual)
    return inner if inner.is_dir() else folder


def split_files(folder: Path, split: str) -> list[Path]:
    """The files of a split: those with its name as a word in theirs, in order.

    ``train`` may also be all files of a folder in which no file is named after a split.
    """
    places = [place for place in (folder, folder / "data") if place.is_dir()]
    paths = sorted(
        path
        for place in places
        for path in place.iterdir()
        if path.suffix in _READERS and path.name not in _NOT_DATA and path.is_file()
    )
    words = {path: set(re.split(r"[^a-z0-9]+", path.stem.lower())) for path in paths}
    files = [path for path in paths if split.lower() in words[path]]
    if not files and split == "train" and not any(words[path] & _SPLITS for path in paths):
        files = paths
    if not files:
        names = ", ".join(path.name for path in paths[:6]) or "none"
        raise ScenarioError(
            f"{folder}: no file of split {split!r}, allowed are {_ALLOWED} files named after it; "
            f"found {names}"
        )
    if len({path.suffix for path in files}) > 1:
        raise ScenarioError(
            f"{folder}: found split {split!r} in files of several kinds, allowed is one kind: "
            f"{', '.join(path.name for path in files[:6])}"
        )
    return files


def _parquet_rows(path: Path, columns: Sequence[str]) -> Rows:
    number = 0
    with pq.ParquetFile(path) as file:
        for name in columns:
            if name not in file.schema_arrow.names:
                raise ScenarioError(missing_field(str(path), name, file.schema_arrow.names))
        for batch in file.iter_batches(batch_size=1024, columns=list(columns)):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}: row {number}", row


def _jsonl_rows(path: Path, columns: Sequence[str]) -> Rows:
    for number, row in read_lines(path):
        yield f"{path}:{number}", row


def _json_rows(path: Path, columns: Sequence[str]) -> Rows:
    """An array of objects, or one object a line."""
    with path.open("rb") as file:
        start = file.read(64)
    if start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] != b"[":
        yield from _jsonl_rows(path, columns)
        return
    try:
        rows = parse_json(path.read_text(encoding="utf-8-sig"))
        json.dumps(rows, ensure_ascii=False).encode("utf-8")  # no half of a surrogate pair
    except UnicodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"{path}: not JSON: {error}") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise ScenarioError(f"{path}: row {number}: found no JSON object")
        yield f"{path}: row {number}", row


def _csv_rows(path: Path, columns: Sequence[str]) -> Rows:
    csv.field_size_limit(2**31 - 1)  # the standard limit, 128 KiB, is shorter than some articles
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            for row in reader:
                place = f"{path}:{reader.line_num}"
                # DictReader's own marks: extra fields are under None, missing ones are None.
                if None in row or None in row.values():
                    raise ScenarioError(
                        f"{place}: found another number of fields than the "
                        f"{len(reader.fieldnames or ())} of the header"
                    )
                yield place, row
        except csv.Error as error:
            number = reader.reader.line_num
            raise ScenarioError(f"{path}:{number}: not CSV: {error}") from None


_READERS: dict[str, Callable[[Path, Sequence[str]], Rows]] = {
    ".parquet": _parquet_rows,
    ".jsonl": _jsonl_rows,
    ".json": _json_rows,
    ".csv": _csv_rows,
}
_ALLOWED = ", ".join(_READERS)
_SPLITS = {"train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval"}
_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "state.json"}
"""What ``datasets`` and the hub themselves put beside data."""


def file_rows(path: Path, columns: Sequence[str]) -> Rows:
    """The rows of one file, by the reader for its suffix.

    Raises
    ------
    ScenarioError
        A suffix without a reader, or a file that cannot be read.
    """
    if path.suffix not in _READERS:
        raise ScenarioError(f"{path}: found {path.suffix!r}, allowed are {_ALLOWED}")
    try:
        yield from _READERS[path.suffix](path, columns)
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise ScenarioError(f"{path}: cannot be read: {_first_line(error)}") from None
