"""Where the time of a round goes: download, compute, upload, waiting."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fsim.results.figures.style import (
    PARTS,
    FigureImpossible,
    finish,
    legend,
    looks,
    new_figure,
    series_of,
    styled,
    time_scale,
    whole_rounds,
    wrapped,
)
from fsim.results.rounds import client_rounds, last_clients

MOST_PANELS = 6
MOST_BARS = 100
"""Bars of a panel at most; of more rounds, neighbours are drawn as their mean."""


@styled
def round_breakdown(records: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """For each series stacked bars a round: the client that came last, and the mean of clients.

    The client that came last is the critical path of a synchronous round. Of several seeds the
    means are drawn.

    Parameters
    ----------
    records, summary
        As :func:`fsim.load` gives them.

    Raises
    ------
    FigureImpossible
        No client ended a round.
    """
    series = list(looks(summary, MOST_PANELS))
    names = dict(zip(summary["run"], series_of(summary), strict=True))
    shown = records[records["run"].map(names).astype(str).isin(series)]
    last, every = last_clients(shown), client_rounds(shown)
    if last.empty:
        raise FigureImpossible("found no round in which a client came to its end")
    parts = [part for part in PARTS if (every[part] > 0).any()]
    stacks = [
        table.assign(series=table["run"].map(names)).groupby(["series", "round"])[parts].mean()
        for table in (last, every)
    ]
    factor, unit = time_scale(max(stack.sum(axis=1).max() for stack in stacks))
    count = len(series)
    figure = new_figure(9.2, 1.5 + 1.55 * count)
    panels = figure.subplots(count, 2, sharex=True, sharey="col", squeeze=False)
    binned = 1
    for name, row in zip(series, panels, strict=True):
        for axes, stack in zip(row, stacks, strict=True):
            own = stack[stack.index.get_level_values("series") == name].droplevel("series")
            if len(own):
                binned = _draw(axes, own / factor)
        row[0].set_ylabel(f"{wrapped(name, 21)}\n({unit})", fontsize=8, parse_math=False)
    panels[0, 0].set_title("client that came last", loc="left", fontsize=10)
    panels[0, 1].set_title("mean of the clients", loc="left", fontsize=10)
    for axes in panels[-1]:
        whole_rounds(axes)
    told = [PARTS[part] for part in reversed(parts)]
    handles = [Patch(facecolor=c, hatch=h, edgecolor="#333333") for _, c, h in told]
    legend(figure, handles, [name for name, _, _ in told], "part of a round")
    notes = ["the two columns have scales of their own"]
    if summary.groupby(series_of(summary))["run"].nunique().max() > 1:
        notes.append("means over seeds")
    if binned > 1:
        notes.append(f"a bar is the mean of {binned} rounds")
    return finish(figure, "Where the time of a round goes", summary, notes, MOST_PANELS)


def _draw(axes: Axes, stack: pd.DataFrame) -> int:
    """Bars of the parts on one another; returns how many rounds are in one."""
    binned = -(-len(stack) // MOST_BARS)
    groups = np.arange(len(stack)) // binned
    rounds = pd.Series(stack.index.to_numpy()).groupby(groups).mean()
    means = stack.groupby(groups).mean()
    bottom = np.zeros(len(means))
    for part in means:
        _, color, hatch = PARTS[str(part)]
        heights = means[part].to_numpy()
        axes.bar(
            rounds,
            heights,
            bottom=bottom,
            width=0.82 * binned,
            facecolor=color,
            hatch=hatch,
            edgecolor="#333333",
            linewidth=0.4 if len(means) <= 40 else 0.1,
        )
        bottom += heights
    axes.grid(visible=False, axis="x")
    axes.set_axisbelow(True)
    return int(binned)
