"""The files that a run leaves, and how a file comes to be there whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from fsim.core.errors import OutputError
from fsim.core.files import whole_file
from fsim.results.manifest import (
    ADAPTER,
    COMPARISON,
    EVALUATIONS,
    MANIFEST,
    RECORDS,
    SCENARIO,
    SUMMARY,
    enter,
)

__all__ = [
    "COMPARISON",
    "EVALUATIONS",
    "RECORDS",
    "SCENARIO",
    "SCHEMA",
    "SUMMARY",
    "folder_name",
    "replacing_file",
    "write_run",
]

SCHEMA = 2
"""Version of the files' layout, written to every summary; ``docs/results.md`` tells the changes."""


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """A path to write a file to, which becomes ``path`` when all is written.

    In a folder of results it is entered in the manifest, and a file there that fsim did not write
    is kept under another name (:func:`fsim.results.manifest.enter`). Elsewhere a link is followed.

    Raises
    ------
    OutputError
        The disk is full, the place cannot be written, or something else than a file is there.
    """
    if not os.path.lexists(path.parent / MANIFEST):
        try:
            path = path.resolve()
        except RuntimeError as error:  # of links in a ring
            raise OutputError(f"{path}: cannot be written: {error}") from None
    with whole_file(path, enter) as temporary:
        yield temporary


def write_run(
    folder: Path,
    scenario: str,
    records: pd.DataFrame,
    evaluations: pd.DataFrame,
    summary: Mapping[str, Any],
    save_adapter: Callable[[Path], None],
) -> None:
    """Write a run's files into a folder that exists.

    ``scenario.yaml`` (every default written out), ``records.parquet``, ``evaluations.parquet``,
    ``summary.json`` and ``adapter/`` in peft's own form.
    """
    (folder / SCENARIO).write_text(scenario, encoding="utf-8")
    write_table(records, folder / RECORDS)
    write_table(evaluations, folder / EVALUATIONS)
    save_adapter(folder / ADAPTER)
    text = json.dumps({"schema": SCHEMA, **summary}, indent=2) + "\n"
    (folder / SUMMARY).write_text(text, encoding="utf-8")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, its pages with checksums."""
    table.to_parquet(path, index=False, write_page_checksum=True)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table, of which no page has changed since it was written.

    Raises
    ------
    ValueError, OSError
        It is damaged. The footer has no checksum, but tells the number of rows twice.
    """
    metadata = pq.read_metadata(path)
    rows = sum(metadata.row_group(at).num_rows for at in range(metadata.num_row_groups))
    if rows != metadata.num_rows:
        raise ValueError(f"found {metadata.num_rows} rows in all, and {rows} in its parts")
    return pd.read_parquet(path, page_checksum_verification=True)


def folder_name(label: str) -> str:
    """The folder of a policy's run within a comparison: ``qsgd:bits=2`` -> ``qsgd-bits=2``."""
    return label.replace(":", "-")
