"""Accuracy over time for each language, organ system or whatever the task tells apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fsim.figures.content import Content, FigureImpossible, time_scale
from fsim.figures.series import Look, by_series, looks
from fsim.records import labels_of

MOST_LABELS = 24

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LabelCurves(Content):
    """Curves by label.

    Attributes
    ----------
    series
        The series shown.
    curves
        Label -> series -> times in the figure's unit, and accuracies in percent, shapes (n,).
    unit
        Of the times.
    """

    series: Mapping[str, Look]
    curves: Mapping[str, Mapping[str, tuple[Floats, Floats]]]
    unit: str


def accuracy_by_label(evaluations: pd.DataFrame, summary: pd.DataFrame) -> LabelCurves:
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
    told = label_table(evaluations)
    labels = _chosen(told)
    series, parts = looks(summary), by_series(told, summary)
    factor, unit = time_scale(told["time_s"].max())
    notes = []
    count = told["label"].nunique()
    if count > len(labels):
        notes.append(f"{len(labels)} of {count} labels, those most unequal at the end")
    if summary["seed"].nunique() > 1:
        notes.append("means over seeds, at the times of the first")
    curves = {}
    for label in labels:
        own = {name: _mean_curve(parts[name][parts[name]["label"] == label]) for name in series}
        curves[label] = {name: (x / factor, 100 * y) for name, (x, y) in own.items()}
    return LabelCurves(
        heading="Accuracy over time by label",
        summary=summary,
        notes=notes,
        series=series,
        curves=curves,
        unit=unit,
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


def _chosen(told: pd.DataFrame) -> list[str]:
    labels = list(dict.fromkeys(told["label"]))
    if len(labels) <= MOST_LABELS:
        return labels
    last = told.groupby(["run", "label"], observed=True)["accuracy"].last().unstack("run")
    spread = last.max(axis=1) - last.min(axis=1)
    kept = set(spread.sort_values(ascending=False, kind="stable").index[:MOST_LABELS])
    return [label for label in labels if label in kept]


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
