"""Accuracy over simulated time and over uplink: a line a series, a band over its seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fsim.results.figures.style import (
    Look,
    by_series,
    byte_scale,
    finish,
    logarithmic,
    looks,
    new_figure,
    series_legend,
    styled,
    time_scale,
)

Floats = npt.NDArray[np.float64]


@styled
def accuracy_over_time(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Accuracy over simulated time, the target, and when each series reached it.

    Several seeds of a series are drawn as their mean, and a band from their minimum to their
    maximum, for as long as all of them ran, and then each by itself.

    Parameters
    ----------
    evaluations, summary
        As :func:`fsim.load` gives them.
    """
    factor, unit = time_scale(evaluations["time_s"].max())
    figure, axes = _accuracy(evaluations, summary, "time_s", factor)
    axes.set_xlabel(f"simulated time ({unit})")
    axes.set_xlim(left=0)
    return finish(figure, "Accuracy over simulated time", summary, _notes(summary))


@styled
def accuracy_over_uplink(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """The same over the bytes that all clients together have uploaded, on a logarithmic axis."""
    # Before the first round nothing was sent: no place for it on a logarithmic axis.
    sent = evaluations[evaluations["uplink_bytes"] > 0]
    shown = sent if len(sent) else evaluations
    factor, unit = byte_scale(shown["uplink_bytes"].max())
    figure, axes = _accuracy(shown, summary, "uplink_bytes", factor)
    if len(sent):
        logarithmic(axes, sent["uplink_bytes"].min(), sent["uplink_bytes"].max())
    axes.set_xlabel(f"uplink of all clients together ({unit})")
    return finish(figure, "Accuracy over cumulative uplink", summary, _notes(summary))


def seed_band(table: pd.DataFrame, column: str) -> tuple[Floats, Floats, Floats, Floats]:
    """Where, and there the mean, minimum and maximum of the accuracies of a series' runs.

    Between its evaluations a run's accuracy is interpolated; nothing is extrapolated, so that the
    band is where every run has values. Of one run, its own evaluations.

    Parameters
    ----------
    table
        Evaluations of one series.
    column
        The horizontal axis.
    """
    curves = [
        (run[column].to_numpy(np.float64), run["accuracy"].to_numpy(np.float64))
        for _, run in table.groupby("run", observed=True, sort=False)
    ]
    low = max(x[0] for x, _ in curves)
    high = min(x[-1] for x, _ in curves)
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    grid = grid[(grid >= low) & (grid <= high)]
    if len(curves) == 1:
        # Two evaluations at one time are both kept.
        return curves[0][0], curves[0][1], curves[0][1], curves[0][1]
    heights = np.stack([np.interp(grid, x, y) for x, y in curves])
    return grid, heights.mean(axis=0), heights.min(axis=0), heights.max(axis=0)


def _accuracy(
    evaluations: pd.DataFrame, summary: pd.DataFrame, column: str, factor: float
) -> tuple[Figure, Axes]:
    figure = new_figure(8.6, 4.4)
    axes: Axes = figure.add_subplot()
    series, target = looks(summary), float(summary["target"].iloc[0])
    for name, rows in by_series(evaluations, summary).items():
        if name in series and len(rows):
            _draw(axes, rows, column, factor, target, series[name])
    _target_line(axes, summary)
    axes.set_ylabel("held-out accuracy (%)")
    axes.set_ylim(bottom=0)
    series_legend(figure, series, "policy (marker: target reached)")
    return figure, axes


def _draw(
    axes: Axes,
    rows: pd.DataFrame,
    column: str,
    factor: float,
    target: float,
    own: Look,
) -> None:
    at, mean, low, high = seed_band(rows, column)
    axes.plot(at / factor, 100 * mean, **own.line)
    if rows["run"].nunique() > 1:
        axes.fill_between(
            at / factor,
            100 * low,
            100 * high,
            color=own.color,
            alpha=0.16,
            linewidth=0,
            gid=own.group,
        )
        for _, run in rows.groupby("run", observed=True, sort=False):
            x, y = run[column].to_numpy(np.float64), run["accuracy"].to_numpy(np.float64)
            # From where the mean ends; where the runs have no time in common, from the beginning.
            ends = at[-1] if len(at) else x[0]
            after = x > ends
            axes.plot(
                np.append(ends, x[after]) / factor,
                100 * np.append(np.interp(ends, x, y), y[after]),
                **{**own.line, "linewidth": 0.8, "alpha": 0.7},
            )
    reached = np.flatnonzero(mean >= target)
    if len(reached):
        first = reached[:1]
        axes.plot(at[first] / factor, 100 * mean[first], **own.point, zorder=3)


def _target_line(axes: Axes, summary: pd.DataFrame) -> None:
    for target in sorted(set(100 * summary["target"])):
        axes.axhline(target, color="#777777", linewidth=1, linestyle=(0, (1, 2)))
        axes.annotate(
            f"target\n{target:g}%",
            # Beside the panel, where it covers nothing.
            (1, target),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            color="#555555",
            fontsize=9,
        )


def _notes(summary: pd.DataFrame) -> list[str]:
    counts = summary.groupby(
        summary["series"] if "series" in summary else summary["policy"], observed=True
    )["run"].nunique()
    if counts.max() == 1:
        return []
    span = (
        f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    )
    return [
        f"mean of {span} seeds, band: their minimum to maximum",
        "thin: single seeds after one has ended",
    ]
