"""A run read back from its folder, whichever version of fsim wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fsim.core.documents import LARGEST_SETTINGS, parse_json, parse_yaml, read_text
from fsim.core.errors import OutputError, shown
from fsim.core.quantities import LARGEST_SEED
from fsim.records import EVALUATION_TYPES, RECORD_TYPES
from fsim.results.integrity import check_evaluations, check_records, check_summary
from fsim.results.saving import EVALUATIONS, RECORDS, SCENARIO, SCHEMA, SUMMARY, read_table

_ARROW = (pa.ArrowException, MemoryError)

LARGEST_SUMMARY = 2**28
"""Bytes: of ten million clients with a battery each."""


def _from_1(evaluations: pd.DataFrame) -> pd.DataFrame:
    """Version 1 began without perplexity, which is the exponential of the mean loss in nats."""
    if "perplexity" in evaluations:
        return evaluations
    return evaluations.assign(perplexity=np.exp(evaluations["loss"]))


MIGRATIONS: Mapping[int, Callable[[pd.DataFrame], pd.DataFrame]] = {1: _from_1}
"""Version -> what makes its evaluations table the next version's."""


@dataclass(frozen=True)
class SavedRun:
    """A run in its folder; tables and settings are read when first asked for.

    Attributes
    ----------
    folder
        Where its files are; the empty path of one that is in memory alone.
    summary
        The content of its ``summary.json``.
    """

    folder: Path
    summary: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> SavedRun:
        """Read the summary of the run in a folder.

        Raises
        ------
        OutputError
            There is none, it is damaged, or of a version that cannot be read.
        """
        try:
            summary = parse_json(read_text(folder / SUMMARY, LARGEST_SUMMARY))
            if not isinstance(summary, dict):
                raise ValueError(f"found a {type(summary).__name__} in {SUMMARY}, not an object")
            schema = summary.get("schema")
            if type(schema) is not int or (schema != SCHEMA and schema not in MIGRATIONS):
                allowed = ", ".join(str(version) for version in (*MIGRATIONS, SCHEMA))
                raise OutputError(
                    f"{folder}: found results of version {shown(schema)}, allowed are {allowed}"
                )
            check_summary(summary)
        except ValueError as error:
            raise _unreadable(folder / SUMMARY, error) from None
        return cls(folder, summary)

    @classmethod
    def in_memory(
        cls,
        summary: Mapping[str, Any],
        scenario: str,
        records: pd.DataFrame,
        evaluations: pd.DataFrame,
    ) -> SavedRun:
        """A run as it would be read back, without a folder.

        Parameters
        ----------
        summary
            As :func:`fsim.results.saving.write_run` takes it.
        scenario
            The text of its ``scenario.yaml``.
        records, evaluations
            Tables of the present version.
        """
        run = cls(Path(), {"schema": SCHEMA, **summary})
        vars(run).update(scenario=scenario, records=records, evaluations=evaluations)
        return run

    @property
    def label(self) -> str:
        """Name of the run in tables and figures: the policy, as a rule."""
        return str(self.summary["label"])

    @cached_property
    def records(self) -> pd.DataFrame:
        """Everything that happened, of the types in ``fsim.records``.

        Raises
        ------
        OutputError
            The file is missing, damaged, or without one of the columns.
        """
        return self._table(RECORDS, RECORD_TYPES, lambda table: table, check_records)

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """The evaluations, brought to the present version; raises as :attr:`records` does."""
        return self._table(EVALUATIONS, EVALUATION_TYPES, self._migrated, check_evaluations)

    @cached_property
    def seed(self) -> int:
        """The scenario's seed, found without parsing the whole of a file that fsim wrote."""
        match = re.search(r"^seed: ([0-9]{1,19})[ \r]*$", self.scenario, re.MULTILINE)
        if match is None or int(match[1]) > LARGEST_SEED:
            raise OutputError(f"{self.folder / SCENARIO}: found no line 'seed: NUMBER'")
        return int(match[1])

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The scenario with every default, by dotted key; a list is written as JSON.

        Raises
        ------
        OutputError
            The file is missing or damaged.
        """
        try:
            tree = parse_yaml(self.scenario)
        except ValueError as error:
            raise _unreadable(self.folder / SCENARIO, error) from None
        if not isinstance(tree, dict):
            raise OutputError(f"{self.folder / SCENARIO}: found no settings by name")
        return dict(_flat(tree))

    @cached_property
    def scenario(self) -> str:
        """The text of its ``scenario.yaml``; raises as :attr:`settings` does."""
        try:
            return read_text(self.folder / SCENARIO, LARGEST_SETTINGS)
        except ValueError as error:
            raise _unreadable(self.folder / SCENARIO, error) from None

    def _migrated(self, evaluations: pd.DataFrame) -> pd.DataFrame:
        for version in range(self.summary["schema"], SCHEMA):
            evaluations = MIGRATIONS[version](evaluations)
        return evaluations

    def _table(
        self,
        name: str,
        types: Mapping[str, str],
        migrate: Callable[[pd.DataFrame], pd.DataFrame],
        check: Callable[[pd.DataFrame], None],
    ) -> pd.DataFrame:
        path = self.folder / name
        try:
            if not path.is_file():  # a pipe would be waited for
                raise ValueError("found no such file")
            table = migrate(read_table(path))
            if missing := [column for column in types if column not in table]:
                raise ValueError(f"found no column {', '.join(missing)}")
            table = table[list(types)].astype(dict(types))
            check(table)
            return table
        # Damaged bytes fail in as many ways as there are encodings of a column.
        except (OSError, ValueError, TypeError, KeyError, ArithmeticError, *_ARROW) as error:
            raise _unreadable(path, error) from None


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            leaves += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | Mapping):
            leaves.append((f"{prefix}{key}", json.dumps(value, default=str)))
        else:
            leaves.append((f"{prefix}{key}", value))
    return leaves


def _unreadable(path: Path, error: Exception) -> OutputError:
    return OutputError(f"{path}: the results cannot be read: {error}")
