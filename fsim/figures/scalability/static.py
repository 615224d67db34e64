"""How the time of a round grows with the number of clients."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from fsim.figures.scalability import content as contents
from fsim.figures.static_style import (
    bars,
    finish,
    line,
    new_figure,
    point,
    series_legend,
    styled,
)


@styled
def scalability(records: pd.DataFrame, settings: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Mean simulated time of a round over the number of clients, a line a policy.

    Points are means over the runs with as many clients, bars their minimum to maximum.

    Parameters
    ----------
    records, settings, summary
        As :func:`fsim.load` gives them, of runs with different numbers of clients.

    Raises
    ------
    FigureImpossible
        All runs have as many clients.
    """
    content = contents.scalability(records, settings, summary)
    figure = new_figure(8.6, 4.2)
    axes = figure.add_subplot()
    for policy, points in content.points.items():
        look, means = content.series[policy], [own.mean for own in points.values()]
        spread = bars(list(points.values()))
        axes.errorbar(list(points), means, yerr=spread, capsize=2.5, **line(look))
        axes.plot(list(points), means, **point(look))
    counts = content.counts
    axes.set_xscale("log")
    axes.set_xticks(counts if len(counts) <= 10 else counts[:: -(-len(counts) // 10)])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(content.axis)
    axes.set_ylabel(f"mean simulated time of a round ({content.unit})")
    series_legend(figure, content.series)
    return finish(figure, content)
