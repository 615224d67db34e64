"""Final accuracy against the uplink it took to reach the target."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fsim.results.figures.style import (
    FigureImpossible,
    Look,
    byte_scale,
    finish,
    legend,
    logarithmic,
    looks,
    new_figure,
    series_of,
    spread,
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
    series = looks(summary)
    if series_of(summary).nunique() < 2:
        raise FigureImpossible("found one series, needed are two or more to compare")
    rows = {name: summary[series_of(summary) == name] for name in series}
    reached = {n: r for n, r in rows.items() if r["uplink_bytes_to_target"].notna().all()}
    never = {name: rows[name] for name in series if name not in reached}
    figure = new_figure(8.6, 4.4)
    if never:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
        _draw_never(right, never, series)
    else:
        left = figure.subplots()
    if reached:
        _draw_reached(left, reached, series)
    else:
        left.set_xticks([])
        left.text(0.5, 0.5, "no series", ha="center", transform=left.transAxes, color="#555555")
        left.set_xlabel("uplink to target")
    left.margins(y=0.12)
    left.set_ylabel("final accuracy (%)")
    handles = [
        Line2D([], [], **(each.point if name in reached else _hollow(each)))
        for name, each in series.items()
    ]
    names = [name if name in reached else _share(name, rows[name]) for name in series]
    legend(figure, handles, names, "policy (hollow: target not always reached)")
    notes = ["dashed: Pareto front"] if len(reached) > 1 else []
    if summary["seed"].nunique() > 1:
        notes.append("points: means over seeds, bars: minimum to maximum")
    return finish(figure, "Final accuracy against uplink to the target", summary, notes)


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points of which none other has at most as much cost and at least as much gain."""
    best: list[tuple[float, float]] = []
    for cost, gain in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or gain > best[-1][1]:
            best.append((cost, gain))
    return best


def _draw_reached(axes: Axes, rows: dict[str, pd.DataFrame], series: dict[str, Look]) -> None:
    costs = {name: own["uplink_bytes_to_target"] for name, own in rows.items()}
    high = max(cost.max() for cost in costs.values())
    low = min(cost.min() for cost in costs.values())
    factor, unit = byte_scale(high)
    points = []
    for name, own in rows.items():
        x, y = costs[name] / factor, 100 * own["final_accuracy"]
        points.append((x.mean(), y.mean()))
        axes.errorbar(
            x.mean(),
            y.mean(),
            xerr=spread(x),
            yerr=spread(y),
            ecolor=series[name].color,
            elinewidth=1.1,
            capsize=2.5,
            **series[name].point,
        )
    line = front(points)
    if len(rows) > 1:
        axes.plot(*zip(*line, strict=True), color="#777777", linewidth=1, linestyle="--", zorder=1)
    logarithmic(axes, low, high)
    axes.set_xlim(low / factor / 1.4, high / factor * 1.4)
    axes.set_xlabel(f"uplink of all clients to the target ({unit})")


def _draw_never(axes: Axes, rows: dict[str, pd.DataFrame], series: dict[str, Look]) -> None:
    for at, (name, own) in enumerate(rows.items()):
        y = 100 * own["final_accuracy"]
        look = _hollow(series[name])
        axes.errorbar(at, y.mean(), yerr=spread(y), capsize=2.5, elinewidth=1.1, **look)
    axes.set_xlim(-0.7, max(len(rows) - 0.3, 0.7))
    axes.set_xticks([])
    axes.set_xlabel("target not\nalways reached")
    axes.tick_params(axis="y", length=0)


def _hollow(own: Look) -> dict[str, Any]:
    return {**own.point, "markerfacecolor": "white", "markeredgecolor": own.color}


def _share(name: str, rows: pd.DataFrame) -> str:
    return f"{name} ({rows['uplink_bytes_to_target'].notna().sum()} of {len(rows)} reached)"
