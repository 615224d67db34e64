"""The time of a round by part: download, compute, upload, waiting, of the lost too."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fsim.figures.content import Axis, Content, FigureImpossible, Panel
from fsim.figures.marks import Bars
from fsim.figures.series import Look, looks, series_of
from fsim.figures.wording import time_scale
from fsim.results.rounds import client_rounds, last_clients

MOST_PANELS = 6
MOST_BARS = 100
"""Bars of a panel at most; of more rounds, neighbours are drawn as their mean."""

SHORTEST = 1e-9
"""Seconds of a part that occurred; less is a rounding."""

EDGE = "#333333"
PARTS = {
    "wait_s": ("waiting until available", Look(EDGE, fill="#FFFFFF", hatch=".")),
    "download_s": ("download", Look(EDGE, fill="#A6D5F2", hatch="/")),
    "compute_s": ("compute", Look(EDGE, fill="#E69F00")),
    "upload_s": ("upload", Look(EDGE, fill="#0B5A91")),
    "lost_s": ("lost, until noticed", Look(EDGE, fill="#CC79A7", hatch="x")),
    "server_down_s": ("server down", Look(EDGE, fill="#999999")),
}
"""What a client's round consists of, drawn in this order from the bottom."""


def round_breakdown(records: pd.DataFrame, summary: pd.DataFrame) -> Content:
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
    names = dict(zip(summary["run"], series_of(summary), strict=True))
    rows = records[records["run"].map(names).astype(str).isin(looks(summary, MOST_PANELS))]
    last, every = last_clients(rows), client_rounds(rows)
    if last.empty:
        raise FigureImpossible("found no round in which a client came to its end")
    parts = [part for part in PARTS if (every[part] > SHORTEST).any()]
    means = [
        table.assign(series=table["run"].map(names)).groupby(["series", "round"])[parts].mean()
        for table in (last, every)
    ]
    factor, unit = time_scale(max(table.sum(axis=1).max() for table in means))
    most = max(table.groupby("series").size().max() for table in means)
    binned = int(-(-most // MOST_BARS))
    columns = [
        (Axis(label=f"round: {whose}", whole=True), Axis(label="time", unit=unit, floor=0))
        for whose in ("client that came last", "mean of the clients")
    ]
    panels = []
    for name in looks(summary, MOST_PANELS):
        for at, (table, (x, y)) in enumerate(zip(means, columns, strict=True)):
            own = table[table.index.get_level_values("series") == name].droplevel("series")
            marks = _stack(own / factor, parts, binned)
            panels.append(Panel(title="" if at else name, x=x, y=y, marks=marks))
    notes = ["the two columns have scales of their own"]
    if summary.groupby(series_of(summary))["run"].nunique().max() > 1:
        notes.append("means over seeds")
    if binned > 1:
        notes.append(f"a bar is the mean of {binned} rounds")
    return Content(
        heading="Where the time of a round goes",
        summary=summary,
        notes=notes,
        most=MOST_PANELS,
        legend="part of a round",
        columns=2,
        height=1.55,
        panels=panels,
    )


def _stack(table: pd.DataFrame, parts: list[str], binned: int) -> list[Bars]:
    groups = np.arange(len(table)) // binned
    rounds = pd.Series(table.index.to_numpy()).groupby(groups).mean()
    heights, starts, marks = table.groupby(groups).mean(), np.zeros(len(rounds)), []
    for part in parts:
        name, look = PARTS[part]
        sizes = heights[part].to_numpy()
        marks.append(
            Bars(
                name=name,
                look=look,
                places=rounds.to_numpy(),
                sizes=sizes,
                starts=starts,
                thickness=0.82 * binned,
                upright=True,
            )
        )
        starts = starts + sizes
    return marks
