"""A metric over two settings that were swept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fsim.figures.content import Content, FigureImpossible, byte_scale, time_scale
from fsim.results.loading import UNVARIED, in_words, shortened

MOST_CELLS = 24
"""Cells along a side at most."""

POLICY = "policy"


@dataclass(frozen=True, kw_only=True)
class HeatMap(Content):
    """Cells: a row a value of one setting, a column a value of the other.

    Attributes
    ----------
    values
        Means of the metric in the figure's unit; none where not every run has it.
    have, runs
        How many runs have the metric, of how many; none where there is no run.
    label
        What the metric is, with its unit.
    rows, columns
        What the two settings are.
    """

    values: pd.DataFrame
    have: pd.DataFrame
    runs: pd.DataFrame
    label: str
    rows: str
    columns: str

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The values, shape (rows, columns), NaN where there is none."""
        return self.values.to_numpy(dtype=np.float64)

    @property
    def logarithmic(self) -> bool:
        """Whether the values are too far apart for a linear scale of colours."""
        shown = self.numbers[~np.isnan(self.numbers)]
        return len(shown) > 0 and bool(shown.min() > 0 and shown.max() > 10 * shown.min())

    def missing(self, row: int, column: int) -> str:
        """What is written in a cell without a value."""
        runs = float(self.runs.to_numpy(dtype=np.float64)[row, column])
        if np.isnan(runs):
            return "no run"
        return f"{float(self.have.to_numpy(dtype=np.float64)[row, column]):.0f} of {runs:.0f}"


def sweep_heat_map(
    summary: pd.DataFrame,
    settings: pd.DataFrame,
    metric: str = "time_to_target_s",
    over: Sequence[str] | None = None,
) -> HeatMap:
    """The mean of a metric over the runs of each pair of values.

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
    return HeatMap(
        heading=f"{_in_words(metric).capitalize()} over {short[rows]} and {short[columns]}",
        summary=summary,
        notes=notes,
        most=len(summary),
        values=means / factor,
        have=have,
        runs=runs,
        label=f"{_in_words(metric)} ({unit})",
        rows=short[rows],
        columns=short[columns],
    )


def _two_that_vary(settings: pd.DataFrame) -> tuple[str, str]:
    keys = [str(key) for key in settings if key not in ("run", POLICY, *UNVARIED)]
    varied = [key for key in keys if settings[key].astype(str).nunique() > 1]
    policies = [key for key in varied if key.startswith("compression.")]
    if settings[POLICY].nunique() > 1:
        # A policy's options come and go with it.
        varied = [POLICY, *(key for key in varied if key not in policies)]
    if len(varied) != 2:
        found = ", ".join(varied) or "none"
        raise FigureImpossible(f"found settings that vary: {found}; needed are two, see `over`")
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
