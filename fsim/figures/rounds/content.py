"""Where the time of a round goes: download, compute, upload, waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fsim.figures.content import Content, FigureImpossible, time_scale
from fsim.figures.series import Part, looks, series_of
from fsim.results.rounds import client_rounds, last_clients

MOST_PANELS = 6
MOST_BARS = 100
"""Bars of a panel at most; of more rounds, neighbours are drawn as their mean."""

PARTS = {
    "wait_s": Part("waiting until available", "#FFFFFF", "."),
    "download_s": Part("download", "#A6D5F2", "/"),
    "compute_s": Part("compute", "#E69F00", ""),
    "upload_s": Part("upload", "#0B5A91", ""),
    "silent_s": Part("lost: until given up", "#FFFFFF", "x"),
}
"""What a client's round consists of, drawn in this order from the bottom."""


@dataclass(frozen=True)
class Stacks:
    """Of a series, two tables: a row a bar, a column a part, in the figure's unit.

    Attributes
    ----------
    last, every
        Of the client that came last, and the mean of the clients; indexed by ``round``, of several
        rounds in one bar their mean.
    """

    last: pd.DataFrame
    every: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class RoundBreakdown(Content):
    """Stacks by series.

    Attributes
    ----------
    stacks
        By series.
    parts
        Of :data:`PARTS`, those that occurred.
    unit
        Of the times.
    binned
        Rounds in a bar.
    """

    stacks: Mapping[str, Stacks]
    parts: Sequence[str]
    unit: str
    binned: int


def round_breakdown(records: pd.DataFrame, summary: pd.DataFrame) -> RoundBreakdown:
    """Parts of each round, of several seeds their means.

    Parameters
    ----------
    records, summary
        As :func:`fsim.load` gives them.

    Raises
    ------
    FigureImpossible
        No client ended a round.
    """
    series = list(looks(summary, MOST_PANELS))
    names = dict(zip(summary["run"], series_of(summary), strict=True))
    shown = records[records["run"].map(names).astype(str).isin(series)]
    last, every = last_clients(shown), client_rounds(shown)
    if last.empty:
        raise FigureImpossible("found no round in which a client came to its end")
    parts = [part for part in PARTS if (every[part] > 0).any()]
    means = [
        table.assign(series=table["run"].map(names)).groupby(["series", "round"])[parts].mean()
        for table in (last, every)
    ]
    factor, unit = time_scale(max(table.sum(axis=1).max() for table in means))
    most = max(table.groupby("series").size().max() for table in means)
    binned = int(-(-most // MOST_BARS))
    stacks = {name: Stacks(*(_of(name, t / factor, binned) for t in means)) for name in series}
    notes = ["the two columns have scales of their own"]
    if summary.groupby(series_of(summary))["run"].nunique().max() > 1:
        notes.append("means over seeds")
    if binned > 1:
        notes.append(f"a bar is the mean of {binned} rounds")
    return RoundBreakdown(
        heading="Where the time of a round goes",
        summary=summary,
        notes=notes,
        most=MOST_PANELS,
        stacks=stacks,
        parts=parts,
        unit=unit,
        binned=binned,
    )


def _of(name: str, table: pd.DataFrame, binned: int) -> pd.DataFrame:
    own = table[table.index.get_level_values("series") == name].droplevel("series")
    groups = np.arange(len(own)) // binned
    rounds = pd.Series(own.index.to_numpy()).groupby(groups).mean()
    return own.groupby(groups).mean().set_index(pd.Index(rounds, name="round"))
