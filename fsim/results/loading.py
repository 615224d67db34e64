"""Reading results: tidy tables of any number of runs (``fsim.load``), or the runs themselves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from fsim.core.errors import OutputError
from fsim.records import EVALUATION_TYPES, RECORD_TYPES
from fsim.results.metrics import LABEL_COLUMNS, measure_by_label
from fsim.results.saved_run import SavedRun
from fsim.results.saving import COMPARISON, SUMMARY, folder_name

IDENTITY = ("run", "policy", "seed")
"""The columns that every table begins with."""

UNVARIED = ("name", "seed")
"""Settings by which runs of one experiment differ without being of another series."""

_RATE = re.compile(r"\d\s*\w*(B|bit)/s\b", re.IGNORECASE)


class Results:
    """Runs as tidy tables, each read when first asked for.

    Every table begins with ``run`` (unique among the runs), ``policy`` (its label) and ``seed``.
    ``docs/results.md`` tells the other columns and their units.
    """

    def __init__(self, runs: Sequence[SavedRun], folder: Path | None = None) -> None:
        """Take runs, called by their folders' places below ``folder``, or else by their labels."""
        self.runs = list(runs)
        labels = [run.label for run in runs]
        if folder is not None and len(runs) > 1:
            self.names = [run.folder.relative_to(folder).as_posix() for run in runs]
        elif len(set(labels)) == len(labels):
            self.names = labels
        else:
            self.names = [str(run.folder) for run in runs]

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row a run: what it was, its metrics, and the numbers among its facts."""
        rows = []
        for name, run in zip(self.names, self.runs, strict=True):
            whole = run.summary
            facts = {
                key: value
                for key, value in whole.get("facts", {}).items()
                if not isinstance(value, dict | list)
            }
            values = {
                key: value for key, value in whole.items() if not isinstance(value, dict | list)
            }
            row = {"run": name, "policy": run.label, "seed": run.seed}
            rows.append(row | values | whole["metrics"] | facts | {"folder": str(run.folder)})
        table = pd.DataFrame(rows).drop(columns="label")
        # An all-empty column of a metric is a column of numbers all the same.
        metrics = list(self.runs[0].summary["metrics"])
        return table.astype(dict.fromkeys(metrics, "float64"))

    @cached_property
    def records(self) -> pd.DataFrame:
        """All records, run after run, in the order in which they were recorded."""
        return self._stacked([run.records for run in self.runs], RECORD_TYPES)

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """All evaluations, run after run, in the order of time."""
        return self._stacked([run.evaluations for run in self.runs], EVALUATION_TYPES)

    @cached_property
    def labels(self) -> pd.DataFrame:
        """A row a run and label: its accuracy, and what the run took until that was the target.

        Empty where no evaluation tells labels apart.
        """
        tables = []
        for run in self.runs:
            window = int(run.settings.get("target.window", 1))
            tables.append(measure_by_label(run.evaluations, float(run.summary["target"]), window))
        return self._stacked(tables, LABEL_COLUMNS)

    @cached_property
    def settings(self) -> pd.DataFrame:
        """A row a run: its scenario, a column for each dotted key."""
        rows = [
            {"run": name, "policy": run.label, **run.settings}
            for name, run in zip(self.names, self.runs, strict=True)
        ]
        return pd.DataFrame(rows)

    @cached_property
    def series(self) -> pd.DataFrame:
        """The summary with a column ``series``, alike for runs that differ by their seed only.

        It is the policy, and, where runs of one policy differ in other settings, those.
        """
        summary = self.summary
        if summary["policy"].is_unique:
            return summary.assign(series=summary["policy"])
        keys = self.varied_keys()
        short = shortened(keys)
        names = []
        for row in self.settings.to_dict("records"):
            words = [f"{short[key]}={in_words(row[key])}" for key in keys]
            names.append(", ".join([str(row["policy"]), *words]))
        return summary.assign(series=names)

    def varied_keys(self) -> list[str]:
        """Dotted keys of the settings by which runs of one and the same policy differ."""
        settings = self.settings
        keys = [str(key) for key in settings if key not in ("run", "policy", *UNVARIED)]
        counts = settings[keys].astype(str).groupby(settings["policy"]).nunique()
        return [key for key in keys if (counts[key] > 1).any()]

    def batteries(self) -> dict[int, float]:
        """Client -> joules of its full battery, as the facts of the first run tell; else empty."""
        facts: dict[str, Any] = self.runs[0].summary.get("facts", {})
        return {int(client): float(full) for client, full in facts.get("batteries_j", {}).items()}

    def _stacked(self, tables: Sequence[pd.DataFrame], columns: Iterable[str]) -> pd.DataFrame:
        sizes = [len(table) for table in tables]
        stacked = pd.concat([table[list(columns)] for table in tables], ignore_index=True)
        for at, column in enumerate(IDENTITY):
            values = self.summary[column]
            repeated = values.repeat(sizes).reset_index(drop=True)
            stacked.insert(at, column, repeated if column == "seed" else _category(repeated))
        return stacked


def load(folder: Path | str) -> Results:
    """The runs in a folder: a run's own, a comparison's, a sweep's, or any that hold such.

    Parameters
    ----------
    folder
        Where to look; runs are found at any depth below it, hidden folders excepted.

    Returns
    -------
    Results
        With ``records``, ``evaluations``, ``summary`` and ``settings`` as DataFrames.

    Raises
    ------
    OutputError
        There is no run, one is damaged, or of a version that cannot be read.
    """
    top = Path(folder)
    runs = _runs_below(top)
    if not runs:
        raise OutputError(f"{top}: found no {SUMMARY} in it or below it, so no results")
    return Results(runs, top)


def load_runs(folder: str | Path) -> list[SavedRun]:
    """The run in a folder, or the runs of the comparison in it, in the comparison's order.

    Their tables are read when first asked for.

    Raises
    ------
    OutputError
        There is none, it is damaged, or its files are of a version that cannot be read.
    """
    folder = Path(folder)
    if (folder / SUMMARY).is_file():
        return [SavedRun.open(folder)]
    if (folder / COMPARISON).is_file():
        return [SavedRun.open(folder / name) for name in _compared(folder / COMPARISON)]
    raise OutputError(f"{folder}: found no {SUMMARY} and no {COMPARISON}, so no results")


def _compared(path: Path) -> list[str]:
    """The folders of a comparison's runs, in its order."""
    try:
        table = pd.read_csv(path, dtype={"policy": str})
        labels = table["policy"]
        if labels.isna().any():
            raise ValueError("found a row without a policy")
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{path}: cannot be read: {error}") from None
    if "seed" in table:
        labels = labels + ":seed=" + table["seed"].astype(str)
    return [folder_name(label) for label in labels]


def in_words(value: object) -> str:
    """A setting as figures and tables write it: a path by its name, nothing as ``none``."""
    if value is None or value != value:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    # The stroke of a rate is none of a path.
    return text if _RATE.search(text) else text.rsplit("/", 1)[-1]


def shortened(keys: Sequence[str]) -> dict[str, str]:
    """Each dotted key by the fewest of its last parts that tell it from the others."""
    short = {}
    for key in keys:
        parts = key.split(".")
        for count in range(1, len(parts) + 1):
            tail = ".".join(parts[-count:])
            if sum(f".{other}".endswith(f".{tail}") for other in keys) == 1:
                break
        short[key] = tail
    return short


def _runs_below(top: Path) -> list[SavedRun]:
    """The runs below a folder; those of a comparison in its order, else by path."""
    if (top / SUMMARY).is_file() or (top / COMPARISON).is_file():
        return load_runs(top)
    runs: list[SavedRun] = []
    for place, folders, files in os.walk(top):
        if SUMMARY in files or COMPARISON in files:
            runs += load_runs(Path(place))
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    return runs


def _category(values: pd.Series) -> pd.Series:
    # A name for each of a million rows would take more memory than all else.
    return values.astype(pd.CategoricalDtype(list(values.unique())))
