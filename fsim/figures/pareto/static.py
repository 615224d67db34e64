"""Final accuracy against the uplink it took to reach the target."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fsim.figures.content import Mean
from fsim.figures.pareto import content as contents
from fsim.figures.static_style import (
    bars,
    finish,
    legend,
    logarithmic,
    new_figure,
    point,
    styled,
)


@styled
def pareto(summary: pd.DataFrame) -> Figure:
    """A point a series: bytes of uplink to the target, and final accuracy; means over seeds.

    A bar spans minimum to maximum over the seeds. The line is the Pareto front: no series has both
    fewer bytes and more accuracy than those on it. A series of which a seed never reached the
    target has no mean, and stands in a panel of its own with how many did reach it.

    Parameters
    ----------
    summary
        As :func:`fsim.load` gives it.

    Raises
    ------
    FigureImpossible
        There is one series only.
    """
    content = contents.pareto(summary)
    never = [own for own in content.points.values() if own.uplink is None]
    figure = new_figure(8.6, 4.4)
    if never:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
        _draw_never(right, never)
    else:
        left = figure.subplots()
    if content.span is not None:
        _draw_reached(left, content, content.span)
    else:
        left.set_xticks([])
        left.text(0.5, 0.5, "no series", ha="center", transform=left.transAxes, color="#555555")
        left.set_xlabel("uplink to target")
    left.margins(y=0.12)
    left.set_ylabel("final accuracy (%)")
    handles = [Line2D([], [], **_look(own)) for own in content.points.values()]
    names = [content.written(name) for name in content.points]
    legend(figure, handles, names, "policy (hollow: target not always reached)")
    return finish(figure, content)


def _draw_reached(axes: Axes, content: contents.Pareto, span: tuple[float, float]) -> None:
    for own in content.points.values():
        if own.uplink is not None:
            _draw(axes, own, own.uplink.mean, own.uplink)
    if len(content.front) and sum(own.uplink is not None for own in content.points.values()) > 1:
        axes.plot(
            *zip(*content.front, strict=True),
            color="#777777",
            linewidth=1,
            linestyle="--",
            zorder=1,
        )
    logarithmic(axes, *span)
    axes.set_xlim(span[0] / 1.4, span[1] * 1.4)
    axes.set_xlabel(f"uplink of all clients to the target ({content.unit})")


def _draw_never(axes: Axes, points: list[contents.Point]) -> None:
    for at, own in enumerate(points):
        _draw(axes, own, at)
    axes.set_xlim(-0.7, max(len(points) - 0.3, 0.7))
    axes.set_xticks([])
    axes.set_xlabel("target not\nalways reached")
    axes.tick_params(axis="y", length=0)


def _draw(axes: Axes, own: contents.Point, at: float, along: Mean | None = None) -> None:
    axes.errorbar(
        at,
        own.accuracy.mean,
        xerr=None if along is None else bars([along]),
        yerr=bars([own.accuracy]),
        ecolor=own.look.color,
        elinewidth=1.1,
        capsize=2.5,
        **_look(own),
    )


def _look(own: contents.Point) -> dict[str, Any]:
    if own.uplink is not None:
        return point(own.look)
    return {**point(own.look), "markerfacecolor": "white", "markeredgecolor": own.look.color}
