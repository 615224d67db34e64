"""Stragglers: how unequal clients' rounds are, in which part, and who is waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fsim.figures.content import Axis, Content, FigureImpossible, Panel
from fsim.figures.marks import Bars, Box, Boxes
from fsim.figures.series import looks, series_of
from fsim.results.rounds import client_rounds, last_clients

MOST_SERIES = 6
MOST_CLIENTS = 12
"""Clients whose share of last places is shown at most: those that were last most often."""

SHORTEST = 1e-9
"""Seconds of a part that occurred; less is a rounding."""

PARTS = {
    "duration_s": "whole round",
    "upload_s": "upload",
    "compute_s": "compute",
    "download_s": "download",
    "wait_s": "waiting",
    "lost_s": "lost, until noticed",
    "server_down_s": "server down",
}


def stragglers(records: pd.DataFrame, summary: pd.DataFrame) -> Content:
    """Durations of clients' rounds by part, as boxes, and how often each client was last.

    Parts that did not occur (no waiting, none lost) are left out, per client's round.

    Parameters
    ----------
    records, summary
        As :func:`fsim.load` gives them.

    Raises
    ------
    FigureImpossible
        No client ended a round.
    """
    series = looks(summary, MOST_SERIES)
    names = dict(zip(summary["run"], series_of(summary), strict=True))
    own_records = records[records["run"].map(names).astype(str).isin(series)]
    every, last = client_rounds(own_records), last_clients(own_records)
    if last.empty:
        raise FigureImpossible("found no round in which a client came to its end")
    every = every.assign(series=every["run"].map(names))
    shares = _shares(last.assign(series=last["run"].map(names)), list(series))
    parts = [part for part in PARTS if (every[part] > SHORTEST).any()]
    step = 1 / (len(series) + 1)
    boxes, bars = [], []
    for at, (name, look) in enumerate(series.items()):
        place = (at - (len(series) - 1) / 2) * step
        own: dict[str, Any] = {"name": name, "look": look}
        by_part = {part: _box(every.loc[every["series"] == name, part]) for part in parts}
        places = [row + place for row, part in enumerate(parts) if by_part[part]]
        shown_boxes = [box for box in by_part.values() if box]
        boxes.append(Boxes(places=places, boxes=shown_boxes, thickness=0.8 * step, **own))
        rows = np.arange(len(shares)) + place
        bars.append(Bars(places=rows, sizes=shares[name].to_numpy(), thickness=step, **own))
    every_box = [box for mark in boxes for box in mark.boxes]
    span = min(box.least for box in every_box), max(box.largest for box in every_box)
    return Content(
        heading="Stragglers",
        summary=summary,
        notes=[
            "box: quartiles and median; whiskers: 5th and 95th percentile; mark: maximum",
            f"last: the {MOST_CLIENTS} clients at most that were last most often",
        ],
        most=MOST_SERIES,
        columns=2,
        width=9.6,
        height=max(2.2, 0.3 + 0.17 * len(parts) * (len(series) + 1)),
        panels=[
            Panel(
                title="how long, by part",
                x=Axis(label="simulated seconds of a client's round", log=True, span=span),
                y=Axis(label="", places=[PARTS[part] for part in parts]),
                marks=boxes,
                share=3,
            ),
            Panel(
                title="who came last",
                x=Axis(label="rounds in which it was last", unit="%", floor=0),
                y=Axis(label="", places=[f"client {client}" for client in shares.index]),
                marks=bars,
                share=2,
            ),
        ],
    )


def _box(seconds: pd.Series[float]) -> Box | None:
    """The percentiles of those that occurred; None where none did."""
    values = seconds[seconds > SHORTEST].to_numpy()
    if not len(values):
        return None
    return Box(*np.percentile(values, [0, 5, 25, 50, 75, 95, 100]).tolist())


def _shares(last: pd.DataFrame, series: Sequence[str]) -> pd.DataFrame:
    """Percent of rounds in which a client was last: a row a client, a column a series."""
    counts = last.groupby(["client", "series"]).size().unstack(fill_value=0)
    rounds = last.groupby("series").size()
    shares = (100 * counts / rounds).reindex(columns=list(series), fill_value=0.0)
    order = shares.mean(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_CLIENTS]
    return shares.loc[order].fillna(0.0)
