"""Accuracy lost against time gained, where prompts are shortened."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fsim.figures.series import Look, numbered
from fsim.figures.static.style import legend, line, marker, new_figure, styled, write_around

GOAL_SPEED_UP, GOAL_POINTS = 1.55, 1.0
"""What Fed-FSTQ (arXiv 2604.25421) reports end to end, and the points that it may cost."""

WHOLE = "none"


@styled
def shortening(table: pd.DataFrame, heading: str, note: str) -> Figure:
    """Left, accuracy over speed-up; right, Token Recall over the share of tokens that stays.

    Parameters
    ----------
    table
        A row a method and rule, the columns of :class:`fsim.inference.bench.Measurement`; the
        method ``none`` reads prompts whole.
    heading, note
        What is written above and below.
    """
    figure = new_figure(9.4, 4.4)
    first, second = figure.subplots(1, 2, width_ratios=(3, 2))
    shortened = table[table["method"] != WHOLE]
    methods = list(dict.fromkeys(shortened["method"]))
    looks = {method: numbered(at + 1) for at, method in enumerate(methods)}
    whole = table[table["method"] == WHOLE].iloc[0]
    _trade_off(first, shortened, looks, float(whole["accuracy"]))
    for method, own in looks.items():
        rows = shortened[shortened["method"] == method].sort_values("kept")
        second.plot(100 * rows["kept"], 100 * rows["token_recall"], **_line(own))
    second.plot([0, 100], [0, 100], color="#999999", linewidth=0.8, zorder=0)
    second.set_xlabel("tokens that stay (%)")
    second.set_ylabel("Token Recall of the top tenth (%)")
    handles = [Line2D([], [], **_line(own)) for own in looks.values()]
    legend(figure, handles, methods, "method")
    write_around(figure, heading, note)
    return figure


def _trade_off(axes: Axes, table: pd.DataFrame, looks: dict[str, Look], whole: float) -> None:
    fastest = max(float(table["speed_up"].max()), GOAL_SPEED_UP)
    axes.axhline(100 * whole, color="#000000", linewidth=0.8)
    axes.fill_between(
        [GOAL_SPEED_UP, 1.08 * fastest], 100 * whole - GOAL_POINTS, 100, color="#009E73", alpha=0.1
    )
    axes.annotate(
        f"{GOAL_SPEED_UP} times, at most {GOAL_POINTS:g} point",
        (1.07 * fastest, 100 * whole + 0.6),
        ha="right",
        fontsize=8,
        color="#00674A",
    )
    for method, own in looks.items():
        rows = table[table["method"] == method].sort_values("kept")
        axes.plot(rows["speed_up"], 100 * rows["accuracy"], **_line(own))
        for row in rows.to_dict("records"):
            axes.annotate(
                str(row["keep"]),
                (row["speed_up"], 100 * row["accuracy"]),
                xytext=(3, -9),
                textcoords="offset points",
                fontsize=7,
                color=own.color,
            )
    low = min(100 * float(table["accuracy"].min()), 100 * whole)
    span = max(100 * whole - low, 5)
    axes.set_ylim(low - 0.1 * span, 100 * whole + 0.2 * span)
    axes.set_xlim(right=1.08 * fastest)
    axes.set_xlabel("speed-up end to end (times)")
    axes.set_ylabel("answers exactly right (%)")


def _line(own: Look) -> dict[str, Any]:
    return {**line(own), "marker": marker(own), "markersize": 5}
