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
import yaml

from fsim.errors import OutputError
from fsim.results.output import EVALUATIONS, RECORDS, SCENARIO, SCHEMA, SUMMARY
from fsim.results.records import EVALUATION_TYPES, RECORD_TYPES


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
        Where its files are.
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
            summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
            if not isinstance(summary, dict):
                raise ValueError(f"found a {type(summary).__name__} in {SUMMARY}, not an object")
            found = summary.get("schema")
            if found != SCHEMA and found not in MIGRATIONS:
                allowed = ", ".join(str(version) for version in (*MIGRATIONS, SCHEMA))
                raise OutputError(
                    f"{folder}: found results of version {found}, allowed are {allowed}"
                )
            for needed in ("label", "metrics"):
                summary[needed]
        except (OSError, ValueError, KeyError) as error:
            raise _unreadable(folder, error) from None
        return cls(folder, summary)

    @property
    def label(self) -> str:
        """What tables and figures call it: the policy, as a rule."""
        return str(self.summary["label"])

    @cached_property
    def records(self) -> pd.DataFrame:
        """Everything that happened, of the types in ``fsim.results.records``.

        Raises
        ------
        OutputError
            The file is missing, damaged, or without one of the columns.
        """
        return self._table(RECORDS, RECORD_TYPES, lambda table: table)

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """The evaluations, brought to the present version; raises as :attr:`records` does."""
        return self._table(EVALUATIONS, EVALUATION_TYPES, self._migrated)

    @cached_property
    def seed(self) -> int:
        """The scenario's seed, found without parsing the whole of a file that fsim wrote."""
        found = re.search(r"^seed: (\d+)\s*$", self.scenario, re.MULTILINE)
        if found is None:
            raise OutputError(f"{self.folder / SCENARIO}: found no line 'seed: NUMBER'")
        return int(found[1])

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The scenario with every default, by dotted key; a list is written as JSON.

        Raises
        ------
        OutputError
            The file is missing or damaged.
        """
        # The loader in C is ten times as quick; PyYAML may have been built without it.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            tree = yaml.load(self.scenario, Loader=loader)
        except (yaml.YAMLError, RecursionError) as error:
            raise _unreadable(self.folder, error) from None
        if not isinstance(tree, dict):
            raise OutputError(f"{self.folder / SCENARIO}: found no settings by name")
        return dict(_flat(tree))

    @cached_property
    def scenario(self) -> str:
        """The text of its ``scenario.yaml``; raises as :attr:`settings` does."""
        try:
            return (self.folder / SCENARIO).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise _unreadable(self.folder, error) from None

    def _migrated(self, evaluations: pd.DataFrame) -> pd.DataFrame:
        for version in range(self.summary["schema"], SCHEMA):
            evaluations = MIGRATIONS[version](evaluations)
        return evaluations

    def _table(
        self,
        name: str,
        types: Mapping[str, str],
        migrate: Callable[[pd.DataFrame], pd.DataFrame],
    ) -> pd.DataFrame:
        try:
            table = migrate(pd.read_parquet(self.folder / name))
            return table[list(types)].astype(dict(types))
        except (OSError, ValueError, KeyError) as error:
            raise _unreadable(self.folder, error) from None


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


def _unreadable(folder: Path, error: Exception) -> OutputError:
    first = " ".join(str(error).split())
    return OutputError(f"{folder}: the results cannot be read: {first}")
