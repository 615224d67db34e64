"""How unequal clients' rounds are, in which part, and who keeps the others waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fsim.figures.content import Content, FigureImpossible
from fsim.figures.series import Look, looks, series_of
from fsim.results.rounds import client_rounds, last_clients

MOST_SERIES = 6
MOST_CLIENTS = 12
"""Clients whose share of last places is told at most: those that were last most often."""

SHOWN = {
    "duration_s": "whole round",
    "upload_s": "upload",
    "compute_s": "compute",
    "download_s": "download",
    "wait_s": "waiting",
    "silent_s": "lost",
}


@dataclass(frozen=True)
class Box:
    """Simulated seconds of a part of clients' rounds: percentiles, least and largest."""

    least: float
    p5: float
    q1: float
    median: float
    q3: float
    p95: float
    largest: float


@dataclass(frozen=True, kw_only=True)
class Stragglers(Content):
    """Boxes, and who came last.

    Attributes
    ----------
    series
        The series shown.
    parts
        Of :data:`SHOWN`, those that occurred.
    boxes
        By part and series, where the part occurred in the series.
    last
        Percent of rounds in which a client was last: a row a client, a column a series.
    """

    series: Mapping[str, Look]
    parts: Sequence[str]
    boxes: Mapping[tuple[str, str], Box]
    last: pd.DataFrame

    @property
    def span(self) -> tuple[float, float]:
        """Least and largest value of all boxes."""
        boxes = self.boxes.values()
        return min(box.least for box in boxes), max(box.largest for box in boxes)

    @property
    def step(self) -> float:
        """From one box to the next below it, in distances of the parts."""
        return 1 / (len(self.series) + 1)

    def place(self, part: str, name: str) -> float:
        """Where a box is, in distances of the parts from the first."""
        at = list(self.series).index(name) - (len(self.series) - 1) / 2
        return list(self.parts).index(part) + at * self.step


def stragglers(records: pd.DataFrame, summary: pd.DataFrame) -> Stragglers:
    """Durations of clients' rounds by part, and how often each client was last.

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
    shown = records[records["run"].map(names).astype(str).isin(series)]
    every, last = client_rounds(shown), last_clients(shown)
    if last.empty:
        raise FigureImpossible("found no round in which a client came to its end")
    parts = [part for part in SHOWN if (every[part] > 0).any()]
    return Stragglers(
        heading="Stragglers",
        summary=summary,
        notes=[
            "box: quartiles and median; whiskers: 5th and 95th percentile; mark: maximum",
            f"last: the {MOST_CLIENTS} clients at most that were last most often",
        ],
        most=MOST_SERIES,
        series=series,
        parts=parts,
        boxes=_boxes(every.assign(series=every["run"].map(names)), list(series), parts),
        last=_shares(last.assign(series=last["run"].map(names)), list(series)),
    )


def _boxes(
    every: pd.DataFrame, series: Sequence[str], parts: Sequence[str]
) -> dict[tuple[str, str], Box]:
    boxes = {}
    for part in parts:
        for name in series:
            values = every.loc[(every["series"] == name) & (every[part] > 1e-9), part].to_numpy()
            if len(values):
                found = np.percentile(values, [0, 5, 25, 50, 75, 95, 100])
                boxes[part, name] = Box(*(float(value) for value in found))
    return boxes


def _shares(last: pd.DataFrame, series: Sequence[str]) -> pd.DataFrame:
    counts = last.groupby(["client", "series"]).size().unstack(fill_value=0)
    rounds = last.groupby("series").size()
    shares = (100 * counts / rounds).reindex(columns=list(series), fill_value=0.0)
    order = shares.mean(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_CLIENTS]
    return shares.loc[order].fillna(0.0)
