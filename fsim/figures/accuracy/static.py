"""Accuracy over simulated time and over uplink: a line a series, a band over its seeds."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fsim.figures.accuracy import content as accuracy
from fsim.figures.static_style import (
    finish,
    line,
    logarithmic,
    new_figure,
    point,
    series_legend,
    styled,
)


@styled
def accuracy_over_time(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Accuracy over simulated time, the target, and when each series reached it.

    Several seeds of a series are drawn as their mean, and a band from their minimum to their
    maximum, for as long as all of them ran, and then each by itself.

    Parameters
    ----------
    evaluations, summary
        As :func:`fsim.load` gives them.
    """
    figure = _drawn(accuracy.accuracy_over_time(evaluations, summary))
    figure.axes[0].set_xlim(left=0)
    return figure


@styled
def accuracy_over_uplink(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """The same over the bytes that all clients together have uploaded, on a logarithmic axis."""
    return _drawn(accuracy.accuracy_over_uplink(evaluations, summary))


def _drawn(content: accuracy.Curves) -> Figure:
    figure = new_figure(8.6, 4.4)
    axes: Axes = figure.add_subplot()
    for curve in content.curves.values():
        _draw(axes, curve)
    for target in content.targets:
        _target_line(axes, target)
    axes.set_ylabel("held-out accuracy (%)")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"{content.axis} ({content.unit})")
    if content.span is not None:
        logarithmic(axes, *content.span)
    series = {name: curve.look for name, curve in content.curves.items()}
    series_legend(figure, series, "policy (marker: target reached)")
    return finish(figure, content)


def _draw(axes: Axes, curve: accuracy.Curve) -> None:
    axes.plot(curve.x, curve.mean, **line(curve.look))
    if curve.runs > 1:
        axes.fill_between(
            curve.x, curve.low, curve.high, color=curve.look.color, alpha=0.16, linewidth=0
        )
    for x, y in curve.tails:
        axes.plot(x, y, **{**line(curve.look), "linewidth": 0.8, "alpha": 0.7})
    if curve.reached is not None:
        axes.plot(*curve.reached, **point(curve.look), zorder=3)


def _target_line(axes: Axes, target: float) -> None:
    axes.axhline(target, color="#777777", linewidth=1, linestyle=(0, (1, 2)))
    axes.annotate(
        f"target\n{target:g}%",
        # Beside the panel, where it covers nothing.
        (1, target),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        color="#555555",
        fontsize=9,
    )
