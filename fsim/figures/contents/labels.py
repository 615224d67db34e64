"""Accuracy over time for each language, organ system or whatever the task tells apart."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fsim.figures.content import Axis, Content, FigureImpossible, Panel
from fsim.figures.marks import Floats, Line
from fsim.figures.series import by_series, looks
from fsim.figures.wording import time_scale
from fsim.records import labels_of

MOST_LABELS = 24


def accuracy_by_label(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Content:
    """For each label each series' accuracy over time; means over its seeds.

    Of more labels than there is room for, those in which the last accuracies are the most unequal.

    Parameters
    ----------
    evaluations, summary
        As :func:`fsim.load` gives them.

    Raises
    ------
    FigureImpossible
        The evaluations do not tell labels apart.
    """
    table = label_table(evaluations)
    labels = _most_spread(table)
    series, parts = looks(summary), by_series(table, summary)
    factor, unit = time_scale(table["time_s"].max())
    notes = []
    count = table["label"].nunique()
    if count > len(labels):
        notes.append(f"{len(labels)} of {count} labels, those most unequal at the end")
    if summary["seed"].nunique() > 1:
        notes.append("means over seeds, at the times of the first")
    x = Axis(label="simulated time", unit=unit, floor=0)
    y = Axis(label="accuracy", unit="%", span=(-3, 103), numbers=(0, 50, 100))
    panels = []
    for label in labels:
        marks = []
        for name, look in series.items():
            at, mean = _mean_curve(parts[name][parts[name]["label"] == label])
            marks.append(Line(name=name, look=look, x=at / factor, y=100 * mean, marked=False))
        panels.append(Panel(title=label, x=x, y=y, marks=marks))
    return Content(
        heading="Accuracy over time by label",
        summary=summary,
        notes=notes,
        columns=min(4, len(labels)),
        height=1.6,
        panels=panels,
    )


def label_table(evaluations: pd.DataFrame) -> pd.DataFrame:
    """A row for each evaluation and label: ``run``, ``time_s``, ``round``, ``label``, ``accuracy``.

    Raises
    ------
    FigureImpossible
        The evaluations do not tell labels apart.
    """
    rows = []
    columns = ["run", "time_s", "round", "accuracy_by_label"]
    for run, time, number, text in evaluations[columns].itertuples(index=False):
        for label, share in labels_of(text).items():
            rows.append((run, time, number, label, share))
    if not rows:
        raise FigureImpossible("found no evaluation that tells accuracy by label")
    return pd.DataFrame(rows, columns=["run", "time_s", "round", "label", "accuracy"])


def _most_spread(table: pd.DataFrame) -> list[str]:
    labels = list(dict.fromkeys(table["label"]))
    if len(labels) <= MOST_LABELS:
        return labels
    last = table.groupby(["run", "label"], observed=True)["accuracy"].last().unstack("run")
    spread = last.max(axis=1) - last.min(axis=1)
    selection = set(spread.sort_values(ascending=False, kind="stable").index[:MOST_LABELS])
    return [label for label in labels if label in selection]


def _mean_curve(rows: pd.DataFrame) -> tuple[Floats, Floats]:
    """Times of the first run, and there the mean accuracy of all runs that have come so far."""
    curves = [
        (run["time_s"].to_numpy(), run["accuracy"].to_numpy())
        for _, run in rows.groupby("run", observed=True, sort=False)
    ]
    if not curves:
        return np.empty(0), np.empty(0)
    end = min(x[-1] for x, _ in curves)
    grid = curves[0][0][curves[0][0] <= end]
    return grid, np.mean([np.interp(grid, x, y) for x, y in curves], axis=0)
