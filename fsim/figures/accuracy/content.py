"""Accuracy over simulated time and over uplink: a curve a series, a band over its seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fsim.figures.content import Content, byte_scale, time_scale
from fsim.figures.series import Look, by_series, looks, series_of

Floats = npt.NDArray[np.float64]

_TO_TARGET = {"time_s": "time_to_target_s", "uplink_bytes": "uplink_bytes_to_target"}
"""Column of an axis -> the metric that says where on it the target was reached."""


@dataclass(frozen=True)
class Curve:
    """A series: accuracies in percent over the unit of the figure's axis.

    Attributes
    ----------
    look
        How it is drawn.
    x, mean, low, high
        As :func:`seed_band` gives them, shape (n,).
    runs
        How many they are of.
    tails
        For each of several runs its curve after the mean has ended, shapes (m,) and (m,).
    reached
        Where the target was reached, the mean over the runs as tables have it (by the mean of the
        target's window of evaluations), and the curve there; None where not every run reached it.
    """

    look: Look
    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    runs: int
    tails: tuple[tuple[Floats, Floats], ...]
    reached: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Curves(Content):
    """Curves by series.

    Attributes
    ----------
    curves
        By series.
    targets
        Accuracies, percent.
    axis, unit
        What the horizontal axis is, and its unit.
    span
        Least and largest value of a logarithmic axis; None of a linear one.
    """

    curves: Mapping[str, Curve]
    targets: tuple[float, ...]
    axis: str
    unit: str
    span: tuple[float, float] | None = None


def accuracy_over_time(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Curves:
    """Accuracy over simulated time.

    Parameters
    ----------
    evaluations, summary
        As :func:`fsim.load` gives them.
    """
    factor, unit = time_scale(evaluations["time_s"].max())
    return Curves(
        heading="Accuracy over simulated time",
        summary=summary,
        notes=_notes(summary),
        curves=_curves(evaluations, summary, "time_s", factor),
        targets=_targets(summary),
        axis="simulated time",
        unit=unit,
    )


def accuracy_over_uplink(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Curves:
    """The same over the bytes that all clients together have uploaded, on a logarithmic axis."""
    # Before the first round nothing was sent: no place for it on a logarithmic axis.
    sent = evaluations[evaluations["uplink_bytes"] > 0]
    shown = sent if len(sent) else evaluations
    factor, unit = byte_scale(shown["uplink_bytes"].max())
    low, high = sent["uplink_bytes"].min() / factor, sent["uplink_bytes"].max() / factor
    return Curves(
        heading="Accuracy over cumulative uplink",
        summary=summary,
        notes=_notes(summary),
        curves=_curves(shown, summary, "uplink_bytes", factor),
        targets=_targets(summary),
        axis="uplink of all clients together",
        unit=unit,
        span=(low, high) if len(sent) else None,
    )


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


def _curves(
    evaluations: pd.DataFrame, summary: pd.DataFrame, column: str, factor: float
) -> dict[str, Curve]:
    series = looks(summary)
    to_target = summary.set_index("run")[_TO_TARGET[column]].astype("float64")
    return {
        name: _curve(rows, column, factor, to_target[rows["run"].unique()], series[name])
        for name, rows in by_series(evaluations, summary).items()
        if name in series and len(rows)
    }


def _curve(
    rows: pd.DataFrame, column: str, factor: float, to_target: pd.Series[float], look: Look
) -> Curve:
    at, mean, low, high = seed_band(rows, column)
    runs = int(rows["run"].nunique())
    tails = []
    if runs > 1:
        for _, run in rows.groupby("run", observed=True, sort=False):
            x, y = run[column].to_numpy(np.float64), run["accuracy"].to_numpy(np.float64)
            # From where the mean ends; where the runs have no time in common, from the beginning.
            ends = at[-1] if len(at) else x[0]
            after = x > ends
            tails.append(
                (
                    np.append(ends, x[after]) / factor,
                    100 * np.append(np.interp(ends, x, y), y[after]),
                )
            )
    reached = None
    if to_target.notna().all() and len(at):
        where = float(to_target.mean())
        reached = where / factor, 100 * float(np.interp(where, at, mean))
    return Curve(look, at / factor, 100 * mean, 100 * low, 100 * high, runs, tuple(tails), reached)


def _targets(summary: pd.DataFrame) -> tuple[float, ...]:
    return tuple(sorted(set(100 * summary["target"])))


def _notes(summary: pd.DataFrame) -> list[str]:
    counts = summary.groupby(series_of(summary), observed=True)["run"].nunique()
    if counts.max() == 1:
        return []
    span = (
        f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    )
    return [
        f"mean of {span} seeds, band: their minimum to maximum",
        "thin: single seeds after one has ended",
    ]
