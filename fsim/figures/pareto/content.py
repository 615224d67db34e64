"""Final accuracy against the uplink it took to reach the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from fsim.figures.content import Content, FigureImpossible, Mean, byte_scale
from fsim.figures.series import Look, looks, series_of


@dataclass(frozen=True)
class Point:
    """A series.

    Attributes
    ----------
    look
        How it is drawn.
    uplink
        To the target, in the figure's unit; None where not every run reached it.
    accuracy
        The final one, percent.
    reached, runs
        How many of how many runs reached the target.
    """

    look: Look
    uplink: Mean | None
    accuracy: Mean
    reached: int
    runs: int


@dataclass(frozen=True, kw_only=True)
class Pareto(Content):
    """Points by series.

    Attributes
    ----------
    points
        By series.
    front
        Uplink and accuracy of the points of which no other has both less and more.
    span
        Least and largest uplink of a run; None where no series has any.
    unit
        Of the uplink.
    """

    points: Mapping[str, Point]
    front: tuple[tuple[float, float], ...]
    span: tuple[float, float] | None
    unit: str

    def written(self, name: str) -> str:
        """A series' name, with how many of its runs reached the target where not all did."""
        point = self.points[name]
        if point.uplink is not None:
            return name
        return f"{name} ({point.reached} of {point.runs} reached)"


def pareto(summary: pd.DataFrame) -> Pareto:
    """Bytes of uplink to the target, and final accuracy; means over seeds.

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
    costs = [
        own["uplink_bytes_to_target"]
        for own in rows.values()
        if own["uplink_bytes_to_target"].notna().all()
    ]
    factor, unit = byte_scale(max((float(cost.max()) for cost in costs), default=0.0))
    points = {name: _point(own, series[name], factor) for name, own in rows.items()}
    known = [(p.uplink.mean, p.accuracy.mean) for p in points.values() if p.uplink is not None]
    notes = ["dashed: Pareto front"] if len(known) > 1 else []
    if summary["seed"].nunique() > 1:
        notes.append("points: means over seeds, bars: minimum to maximum")
    span = (
        (min(float(cost.min()) for cost in costs) / factor,
         max(float(cost.max()) for cost in costs) / factor)
        if costs
        else None
    )  # fmt: skip
    return Pareto(
        heading="Final accuracy against uplink to the target",
        summary=summary,
        notes=notes,
        points=points,
        front=tuple(front(known)),
        span=span,
        unit=unit,
    )


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points of which none other has at most as much cost and at least as much gain."""
    best: list[tuple[float, float]] = []
    for cost, gain in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or gain > best[-1][1]:
            best.append((cost, gain))
    return best


def _point(rows: pd.DataFrame, look: Look, factor: float) -> Point:
    cost, reached = rows["uplink_bytes_to_target"], int(rows["uplink_bytes_to_target"].count())
    uplink = Mean.of(cost / factor) if reached == len(rows) else None
    return Point(look, uplink, Mean.of(100 * rows["final_accuracy"]), reached, len(rows))
