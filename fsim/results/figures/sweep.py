"""A metric over two settings that were swept."""

from __future__ import annotations

import re
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fsim.results.figures.style import (
    FigureImpossible,
    byte_scale,
    finish,
    new_figure,
    styled,
    time_scale,
    wrapped,
)
from fsim.results.loading import UNVARIED, in_words, shortened

MOST_CELLS = 24
"""Cells along a side at most."""

POLICY = "policy"


@styled
def sweep_heat_map(
    summary: pd.DataFrame,
    settings: pd.DataFrame,
    metric: str = "time_to_target_s",
    over: Sequence[str] | None = None,
) -> Figure:
    """A cell for each pair of values, with the mean of the metric over its runs.

    A cell of which not every run has the metric, the target never being reached, has no mean, and
    tells how many have.

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
    figure = _draw(means / factor, have, runs, f"{_in_words(metric)} ({unit})")
    short = shortened([rows, columns])
    axes = figure.axes[0]
    axes.set_ylabel(short[rows], parse_math=False)
    axes.set_xlabel(short[columns], parse_math=False)
    heading = f"{_in_words(metric).capitalize()} over {short[rows]} and {short[columns]}"
    most = int(np.nanmax(runs.to_numpy()))
    notes = [f"means of {most} runs a cell"] if most > 1 else []
    if (have < runs).any().any():
        notes.append("hatched: not every run of the cell has it, the target not being reached")
    return finish(figure, heading, summary, notes, most=len(summary))


def _draw(values: pd.DataFrame, have: pd.DataFrame, runs: pd.DataFrame, label: str) -> Figure:
    height, width = values.shape
    figure = new_figure(max(6.0, 3.2 + 0.85 * width), max(3.0, 1.9 + 0.5 * height))
    axes = figure.add_subplot()
    # Cividis runs from dark to light in grey and to the colour-blind alike.
    colors = mpl.colormaps["cividis"]
    numbers = values.to_numpy(dtype=float)
    shown = numbers[~np.isnan(numbers)]
    wide = len(shown) > 0 and shown.min() > 0 and shown.max() > 10 * shown.min()
    scale = np.log if wide else np.asarray
    image = axes.imshow(numbers, cmap=colors, aspect="auto", norm="log" if wide else "linear")
    known, counts = (table.to_numpy(dtype=float) for table in (have, runs))
    middle = float(scale([shown.min(), shown.max()]).mean()) if len(shown) else 0.0
    for row, column in np.ndindex(height, width):
        value = float(numbers[row, column])
        if np.isnan(value):
            _draw_empty(axes, row, column, float(known[row, column]), float(counts[row, column]))
        else:
            color = "white" if scale(value) < middle else "black"
            axes.text(
                column, row, f"{value:.3g}", ha="center", va="center", color=color, fontsize=9
            )
    axes.set_xticks(
        range(width),
        [wrapped(str(name), 14) for name in values.columns],
        rotation=45 if width > 6 and max(map(len, map(str, values.columns))) > 8 else 0,
    )
    axes.set_yticks(range(height), [wrapped(str(name), 22) for name in values.index])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if values.notna().any().any():
        figure.colorbar(image, ax=axes, label=label, pad=0.02, format="{x:g}")
    return figure


def _draw_empty(axes: Axes, row: int, column: int, known: float, runs: float) -> None:
    axes.add_patch(
        Rectangle(
            (column - 0.5, row - 0.5), 1, 1, facecolor="white", edgecolor="#BBBBBB", hatch="///"
        )
    )
    text = "no run" if np.isnan(runs) else f"{known:.0f} of {runs:.0f}"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    axes.text(column, row, text, ha="center", va="center", fontsize=9, bbox=box)


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
