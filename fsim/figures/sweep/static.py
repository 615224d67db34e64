"""A metric over two settings that were swept."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fsim.figures.content import wrapped
from fsim.figures.static_style import finish, new_figure, styled
from fsim.figures.sweep import content as sweep


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
    content = sweep.sweep_heat_map(summary, settings, metric, over)
    values, numbers = content.values, content.numbers
    height, width = values.shape
    figure = new_figure(max(6.0, 3.2 + 0.85 * width), max(3.0, 1.9 + 0.5 * height))
    axes = figure.add_subplot()
    # Cividis runs from dark to light in grey and to the colour-blind alike.
    colors = mpl.colormaps["cividis"]
    scale = np.log if content.logarithmic else np.asarray
    norm = "log" if content.logarithmic else "linear"
    image = axes.imshow(numbers, cmap=colors, aspect="auto", norm=norm)
    shown = numbers[~np.isnan(numbers)]
    middle = float(scale([shown.min(), shown.max()]).mean()) if len(shown) else 0.0
    for row, column in np.ndindex(height, width):
        value = float(numbers[row, column])
        if np.isnan(value):
            _draw_empty(axes, row, column, content.missing(row, column))
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
    if len(shown):
        figure.colorbar(image, ax=axes, label=content.label, pad=0.02, format="{x:g}")
    axes.set_ylabel(content.rows, parse_math=False)
    axes.set_xlabel(content.columns, parse_math=False)
    return finish(figure, content)


def _draw_empty(axes: Axes, row: int, column: int, text: str) -> None:
    axes.add_patch(
        Rectangle(
            (column - 0.5, row - 0.5), 1, 1, facecolor="white", edgecolor="#BBBBBB", hatch="///"
        )
    )
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    axes.text(column, row, text, ha="center", va="center", fontsize=9, bbox=box)
