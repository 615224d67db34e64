"""A metric over two settings that were swept."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from fsim.figures.content import Axis, Content, FigureImpossible, Panel
from fsim.figures.marks import Cells
from fsim.figures.wording import byte_scale, time_scale
from fsim.results.loading import UNVARIED, in_words, shortened

MOST_CELLS = 24
"""Cells along a side at most."""

POLICY = "policy"


def sweep_heat_map(
    summary: pd.DataFrame,
    settings: pd.DataFrame,
    metric: str = "time_to_target_s",
    over: Sequence[str] | None = None,
) -> Content:
    """A cell for each pair of values, with the mean of the metric over its runs.

    A cell of which not every run has the metric, the target never being reached, has no mean, and
    says how many have.

    Parameters
    ----------
    summary, settings
        As :func:`fsim.load` gives them.
    metric
        A column of numbers of the summary.
    over
        Two dotted keys, or ``"policy"``: rows and columns. None for the two that vary.

    Raises
    ------
    FigureImpossible
        There is no such metric, or not two settings that vary.
    """
    if metric not in summary or not pd.api.types.is_numeric_dtype(summary[metric]):
        numbers = ", ".join(summary.select_dtypes("number").columns)
        raise FigureImpossible(f"found the metric {metric!r}, allowed are {numbers}")
    rows, columns = over if over is not None else _two_that_vary(settings)
    for key in (rows, columns):
        if key not in settings:
            raise FigureImpossible(f"found the setting {key!r}, which is none of the runs'")
    table = pd.DataFrame(
        {
            "row": settings[rows].map(in_words),
            "column": settings[columns].map(in_words),
            "value": settings["run"].map(summary.set_index("run")[metric]).astype(float),
        }
    )
    grouped = table.groupby(["row", "column"], sort=False)["value"]
    means = _ordered(grouped.mean().unstack("column"))
    have = grouped.count().unstack("column").reindex_like(means)
    runs = grouped.size().unstack("column").reindex_like(means)
    means = means.where(have == runs)
    if max(means.shape) > MOST_CELLS:
        raise FigureImpossible(f"found {max(means.shape)} values, allowed are {MOST_CELLS}")
    factor, unit = _unit(metric, means.max().max())
    short = shortened([rows, columns])
    most = int(np.nanmax(runs.to_numpy()))
    notes = [f"means of {most} runs a cell"] if most > 1 else []
    if (have < runs).any().any():
        notes.append("without a colour: not every run of the cell reached the target")
    cells = Cells(
        numbers=(means / factor).to_numpy(dtype=np.float64),
        empty=[
            ["no run" if np.isnan(r) else f"{h:.0f} of {r:.0f}" for h, r in zip(*row, strict=True)]
            for row in zip(have.to_numpy(dtype=float), runs.to_numpy(dtype=float), strict=True)
        ],
        label=f"{_in_words(metric)} ({unit})",
    )
    height, width = means.shape
    return Content(
        heading=f"{_in_words(metric).capitalize()} over {short[rows]} and {short[columns]}",
        summary=summary,
        notes=notes,
        most=len(summary),
        height=max(1.6, 0.5 + 0.5 * height),
        width=max(6.0, 3.2 + 0.85 * width),
        panels=[
            Panel(
                x=Axis(label=short[columns], places=[str(name) for name in means.columns]),
                y=Axis(label=short[rows], places=[str(name) for name in means.index]),
                marks=[cells],
            )
        ],
    )


def _two_that_vary(settings: pd.DataFrame) -> tuple[str, str]:
    keys = [str(key) for key in settings if key not in ("run", POLICY, *UNVARIED)]
    varied = [key for key in keys if settings[key].astype(str).nunique() > 1]
    policies = [key for key in varied if key.startswith("compression.")]
    if settings[POLICY].nunique() > 1:
        # A policy's options come and go with it.
        varied = [POLICY, *(key for key in varied if key not in policies)]
    if len(varied) != 2:
        names = ", ".join(varied) or "none"
        raise FigureImpossible(f"found settings that vary: {names}; needed are two, see `over`")
    return varied[0], varied[1]


def _ordered(means: pd.DataFrame) -> pd.DataFrame:
    """Rows and columns by number, where they are numbers."""
    for axis in (0, 1):
        names = means.axes[axis]
        numbers = pd.to_numeric(pd.Series(names), errors="coerce")
        if numbers.notna().all():
            means = means.take(np.argsort(numbers.to_numpy(), kind="stable"), axis=axis)
    return means


def _in_words(metric: str) -> str:
    return re.sub(r"_[sj]$", "", metric).replace("_", " ")


def _unit(metric: str, largest: float) -> tuple[float, str]:
    if np.isnan(largest):
        return 1.0, "never reached"
    if metric.endswith("_s"):
        return time_scale(largest)
    if "bytes" in metric:
        return byte_scale(largest)
    if "accuracy" in metric:
        return 0.01, "%"
    return 1.0, "J" if metric.endswith("_j") else "number"
