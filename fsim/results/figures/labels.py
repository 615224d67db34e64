"""Accuracy over time for each language, organ system or whatever the task tells apart."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fsim.results.figures.style import (
    FigureImpossible,
    by_series,
    finish,
    legend,
    looks,
    new_figure,
    styled,
    time_scale,
    wrapped,
)

MOST_LABELS = 24


@styled
def accuracy_by_label(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """A panel a label, in which each series has a line; means over its seeds.

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
    columns = min(4, len(labels))
    rows = math.ceil(len(labels) / columns)
    figure = new_figure(2.6 * max(columns, 2) + 2, 1.3 + 1.55 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for at, axes in enumerate(panels.flat):
        if at >= len(labels):
            axes.set_axis_off()
            continue
        for name, own in series.items():
            x, y = _mean_curve(parts[name][parts[name]["label"] == labels[at]])
            axes.plot(x / factor, 100 * y, **{**own.line, "linewidth": 1.3})
        axes.set_title(wrapped(labels[at], 28), loc="left", fontsize=9, parse_math=False)
        axes.set_ylim(-3, 103)
        axes.set_yticks([0, 50, 100])
        if at + columns >= len(labels):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(f"simulated time ({unit})", fontsize=9)
    for row in panels:
        row[0].set_ylabel("accuracy (%)", fontsize=9)
    legend(figure, [Line2D([], [], **own.line) for own in series.values()], list(series), "policy")
    notes = []
    count = told["label"].nunique()
    if count > len(labels):
        notes.append(f"{len(labels)} of {count} labels, those most unequal at the end")
    if summary["seed"].nunique() > 1:
        notes.append("means over seeds, at the times of the first")
    return finish(figure, "Accuracy over time by label", summary, notes)


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
        for label, share in (json.loads(text) if text else {}).items():
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


def _mean_curve(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
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
