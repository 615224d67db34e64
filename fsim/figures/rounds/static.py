"""Where the time of a round goes: download, compute, upload, waiting."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fsim.figures.content import wrapped
from fsim.figures.rounds import content as rounds
from fsim.figures.static_style import (
    finish,
    hatched,
    legend,
    new_figure,
    styled,
    whole_rounds,
)


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
    content = rounds.round_breakdown(records, summary)
    count = len(content.stacks)
    figure = new_figure(9.2, 1.5 + 1.55 * count)
    panels = figure.subplots(count, 2, sharex=True, sharey="col", squeeze=False)
    for (name, stacks), row in zip(content.stacks.items(), panels, strict=True):
        _draw(row[0], stacks.last, content.binned)
        _draw(row[1], stacks.every, content.binned)
        label = f"{wrapped(name, 21)}\n({content.unit})"
        row[0].set_ylabel(label, fontsize=8, parse_math=False)
    panels[0, 0].set_title("client that came last", loc="left", fontsize=10)
    panels[0, 1].set_title("mean of the clients", loc="left", fontsize=10)
    for axes in panels[-1]:
        whole_rounds(axes)
    parts = [rounds.PARTS[part] for part in reversed(content.parts)]
    handles = [Patch(**hatched(part)) for part in parts]
    legend(figure, handles, [part.name for part in parts], "part of a round")
    return finish(figure, content)


def _draw(axes: Axes, stack: pd.DataFrame, binned: int) -> None:
    """Bars of the parts on one another."""
    bottom = np.zeros(len(stack))
    for part in stack:
        heights = stack[part].to_numpy()
        axes.bar(
            stack.index,
            heights,
            bottom=bottom,
            width=0.82 * binned,
            **hatched(rounds.PARTS[str(part)], 0.4 if len(stack) <= 40 else 0.1),
        )
        bottom += heights
    axes.grid(visible=False, axis="x")
    axes.set_axisbelow(True)
