"""Curves of a column of the evaluations over another: a line a series, a band over its seeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from fsim.figures.marks import Floats, Line, Mark, Points
from fsim.figures.series import by_series, looks, series_of


def curves(
    evaluations: pd.DataFrame,
    summary: pd.DataFrame,
    x: tuple[str, float],
    y: tuple[str, float],
    reached: str | None = None,
) -> list[Mark]:
    """For each series the mean of its runs; where some have ended, each of the others alone.

    Parameters
    ----------
    evaluations, summary
        As :func:`fsim.load` gives them.
    x, y
        The columns, and the unit in which each is written.
    reached
        Metric that says where along ``x`` the target was reached: marked on the mean where every
        run reached it, at the mean over the runs.
    """
    series = looks(summary)
    marks: list[Mark] = []
    for name, rows in by_series(evaluations, summary).items():
        if name not in series or rows.empty:
            continue
        at, mean, low, high = seed_band(rows, x[0], y[0])
        runs = int(rows["run"].nunique())
        own: dict[str, Any] = {"name": name, "look": series[name]}
        band = (low / y[1], high / y[1]) if runs > 1 else None
        hint = f"{runs} runs" if runs > 1 else ""
        marks.append(
            Line(x=at / x[1], y=mean / y[1], band=band, hint=hint, marked=reached is None, **own)
        )
        if runs > 1:
            for tail, values in _tails(rows, x[0], y[0], at):
                thin: dict[str, Any] = {"thin": True, "hint": "one seed"}
                marks.append(Line(x=tail / x[1], y=values / y[1], **thin, **own))
        if reached is not None and len(at):
            where = summary.loc[summary["run"].isin(rows["run"].unique()), reached].astype(float)
            if where.notna().all():
                place, height = where.mean(), np.interp(where.mean(), at, mean)
                marks.append(
                    Points(x=[place / x[1]], y=[height / y[1]], hint="target reached", **own)
                )
    return marks


def seed_band(table: pd.DataFrame, x: str, y: str) -> tuple[Floats, Floats, Floats, Floats]:
    """Places, and there the mean, minimum and maximum of a column over a series' runs.

    Between its evaluations a run is interpolated; nothing is extrapolated, so that the band is
    where every run has values. Of one run, its own evaluations.

    Parameters
    ----------
    table
        Evaluations of one series.
    x, y
        Columns.
    """
    runs = list(_runs(table, x, y))
    if len(runs) == 1:
        # Two evaluations at one time both stay.
        at, values = runs[0]
        return at, values, values, values
    low, high = max(at[0] for at, _ in runs), min(at[-1] for at, _ in runs)
    grid = np.unique(np.concatenate([at for at, _ in runs]))
    grid = grid[(grid >= low) & (grid <= high)]
    heights = np.stack([np.interp(grid, at, values) for at, values in runs])
    return grid, heights.mean(axis=0), heights.min(axis=0), heights.max(axis=0)


def seed_notes(summary: pd.DataFrame) -> list[str]:
    """The remark on bands; empty where every series is of one seed."""
    counts = summary.groupby(series_of(summary), observed=True)["run"].nunique()
    low, high = counts.min(), counts.max()
    if high == 1:
        return []
    return [
        f"mean of {low if low == high else f'{low} to {high}'} seeds, band: minimum to maximum",
        "thin: single seeds after one has ended",
    ]


def _tails(table: pd.DataFrame, x: str, y: str, grid: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Each run from where the mean ends; from the beginning where runs have nothing in common."""
    for at, values in _runs(table, x, y):
        ends = grid[-1] if len(grid) else at[0]
        after = at > ends
        if after.any():
            yield (
                np.append(ends, at[after]),
                np.append(np.interp(ends, at, values), values[after]),
            )


def _runs(table: pd.DataFrame, x: str, y: str) -> Iterator[tuple[Floats, Floats]]:
    for _, run in table.groupby("run", observed=True, sort=False):
        yield run[x].to_numpy(np.float64), run[y].to_numpy(np.float64)
