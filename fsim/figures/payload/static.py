"""What the bytes of a payload are: values, positions, scales, headers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fsim.figures.content import wrapped
from fsim.figures.payload import content as payload
from fsim.figures.static_style import finish, hatched, legend, new_figure, styled


@styled
def payload_breakdown(records: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """A bar a series: the mean bytes of each section of its payloads.

    Parameters
    ----------
    records, summary
        As :func:`fsim.load` gives them; sections are read from ``payload`` in a record's details.

    Raises
    ------
    FigureImpossible
        No record tells of its payload's sections.
    """
    content = payload.payload_breakdown(records, summary)
    means, sections = content.means, content.sections
    names = [wrapped(name, 30) for name in means.index]
    lines = max(name.count("\n") + 1 for name in names)
    figure = new_figure(8.6, 1.9 + max(0.38, 0.19 * lines) * len(means))
    axes = figure.add_subplot()
    left = np.zeros(len(means))
    for section in sections:
        widths = means[section.name].to_numpy()
        axes.barh(range(len(means)), widths, left=left, height=0.7, **hatched(section))
        left += widths
    for at, width in enumerate(left):
        axes.annotate(
            f"{width:.4g}",
            (width, at),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_xlim(0, left.max() * 1.1)
    axes.set_yticks(range(len(means)), names)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel(content.axis)
    handles = [Patch(**hatched(section)) for section in sections]
    legend(figure, handles, [section.name for section in sections], "section")
    return finish(figure, content)
