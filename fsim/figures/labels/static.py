"""Accuracy over time for each language, organ system or whatever the task tells apart."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fsim.figures.content import wrapped
from fsim.figures.labels import content as labels
from fsim.figures.static_style import finish, legend, line, new_figure, styled


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
    content = labels.accuracy_by_label(evaluations, summary)
    shown = list(content.curves)
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(2.6 * max(columns, 2) + 2, 1.3 + 1.55 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for at, axes in enumerate(panels.flat):
        if at >= len(shown):
            axes.set_axis_off()
            continue
        for name, (x, y) in content.curves[shown[at]].items():
            axes.plot(x, y, **{**line(content.series[name]), "linewidth": 1.3})
        axes.set_title(wrapped(shown[at], 28), loc="left", fontsize=9, parse_math=False)
        axes.set_ylim(-3, 103)
        axes.set_yticks([0, 50, 100])
        if at + columns >= len(shown):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(f"simulated time ({content.unit})", fontsize=9)
    for row in panels:
        row[0].set_ylabel("accuracy (%)", fontsize=9)
    handles = [Line2D([], [], **line(own)) for own in content.series.values()]
    legend(figure, handles, list(content.series), "policy")
    return finish(figure, content)
