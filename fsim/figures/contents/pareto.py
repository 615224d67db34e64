"""Final accuracy against the uplink it took to reach the target."""

from __future__ import annotations

import pandas as pd

from fsim.figures.content import Axis, Content, FigureImpossible, Panel
from fsim.figures.marks import GREY, Line, Mark, Points
from fsim.figures.series import Look, looks, series_of
from fsim.figures.wording import byte_scale

COST = "uplink_bytes_to_target"


def pareto(summary: pd.DataFrame) -> Content:
    """A point a series: bytes of uplink to the target, and final accuracy; means over seeds.

    The line is the Pareto front: no series has both fewer bytes and more accuracy than those on it.
    A series of which a seed never reached the target has no mean, and stands in a panel of its own
    with how many did reach it.

    Parameters
    ----------
    summary
        As :func:`fsim.load` gives it.

    Raises
    ------
    FigureImpossible
        There is one series only.
    """
    series, names = looks(summary), series_of(summary)
    if len(series) < 2:
        raise FigureImpossible("found one series, needed are two or more to compare")
    rows = {name: summary[names == name] for name in series}
    always = [name for name, own in rows.items() if own[COST].notna().all()]
    never = [name for name in series if name not in always]
    costs = pd.concat([rows[name][COST].astype(float) for name in always] or [pd.Series([0.0])])
    factor, unit = byte_scale(float(costs.max()))
    marks: list[Mark] = [
        _point(name, series[name], rows[name], rows[name][COST].astype(float) / factor)
        for name in always
    ]
    best = front([(mark.x[0], mark.y[0]) for mark in marks if isinstance(mark, Points)])
    if len(marks) > 1:
        x, y = zip(*best, strict=True)
        marks.insert(0, Line(name="Pareto front", look=GREY, x=x, y=y, thin=True, marked=False))
    y_axis = Axis(label="final accuracy", unit="%")
    panels = [
        Panel(
            x=Axis(
                label="uplink of all clients to the target",
                unit=unit,
                log=bool(always),
                span=(float(costs.min()) / factor, float(costs.max()) / factor) if always else None,
            ),
            y=y_axis,
            marks=marks,
            share=4,
        )
    ]
    if never:
        apart: list[Mark] = []
        for at, name in enumerate(never):
            reached, runs = int(rows[name][COST].count()), len(rows[name])
            label = f"{name} ({reached} of {runs} reached)"
            place = pd.Series([float(at)])
            apart.append(_point(label, series[name], rows[name], place, hollow=True))
        x_axis = Axis(label="target not\nalways reached", places=[" "] * len(never))
        panels.append(Panel(x=x_axis, y=y_axis, marks=apart))
    seeds = summary["seed"].nunique() > 1
    return Content(
        heading="Final accuracy against uplink to the target",
        summary=summary,
        notes=["points: means over seeds, bars: minimum to maximum"] if seeds else [],
        legend="policy (hollow: target not always reached)",
        columns=len(panels),
        width=None if never else 8.6,
        panels=panels,
    )


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points of which none other has at most as much cost and at least as much gain."""
    best: list[tuple[float, float]] = []
    for cost, gain in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or gain > best[-1][1]:
            best.append((cost, gain))
    return best


def _point(
    name: str, look: Look, rows: pd.DataFrame, cost: pd.Series[float], hollow: bool = False
) -> Points:
    accuracy = 100 * rows["final_accuracy"].astype(float)
    return Points(
        name=name,
        look=look,
        x=[float(cost.mean())],
        y=[float(accuracy.mean())],
        x_bars=None if hollow else ([cost.min()], [cost.max()]),
        y_bars=([accuracy.min()], [accuracy.max()]),
        hollow=hollow,
    )
