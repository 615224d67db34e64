"""How unequal clients' rounds are, in which part, and who keeps the others waiting."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fsim.results.figures.style import (
    FigureImpossible,
    Look,
    finish,
    legend,
    logarithmic,
    looks,
    new_figure,
    series_of,
    styled,
)
from fsim.results.rounds import client_rounds, last_clients

MOST_SERIES = 6
MOST_CLIENTS = 12
"""Clients of the right panel at most: those that were last most often."""

SHOWN = {
    "duration_s": "whole round",
    "upload_s": "upload",
    "compute_s": "compute",
    "download_s": "download",
    "wait_s": "waiting",
    "silent_s": "lost",
}
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")


@styled
def stragglers(records: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Durations of clients' rounds by part, as boxes, and how often each client was last.

    A box spans the quartiles, its line the median, whiskers the 5th and 95th percentile, the cross
    the maximum. Parts that did not occur (no waiting, none lost) are left out, per client's round.

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
    every = every.assign(series=every["run"].map(names))
    last = last.assign(series=last["run"].map(names))
    parts = [part for part in SHOWN if (every[part] > 0).any()]
    figure = new_figure(9.6, max(3.6, 1.6 + 0.17 * len(parts) * (len(series) + 1)))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_boxes(left, every, series, parts)
    _draw_last(right, last, series)
    handles = [
        Patch(facecolor=_tint(each.color), hatch=hatch, edgecolor=each.color)
        for each, hatch in zip(series.values(), HATCHES, strict=False)
    ]
    legend(figure, handles, list(series), "policy")
    notes = [
        "box: quartiles and median; whiskers: 5th and 95th percentile; cross: maximum",
        f"right: the {MOST_CLIENTS} clients at most that were last most often",
    ]
    return finish(figure, "Stragglers", summary, notes, MOST_SERIES)


def _draw_boxes(axes: Axes, every: pd.DataFrame, series: dict[str, Look], parts: list[str]) -> None:
    step = 1 / (len(series) + 1)
    low, high = np.inf, 0.0
    for row, part in enumerate(parts):
        for at, (name, own) in enumerate(series.items()):
            values = every.loc[(every["series"] == name) & (every[part] > 1e-9), part].to_numpy()
            if not len(values):
                continue
            low, high = min(low, values.min()), max(high, values.max())
            place = row + (at - (len(series) - 1) / 2) * step
            boxes = axes.boxplot(
                values,
                positions=[place],
                widths=step * 0.8,
                orientation="horizontal",
                whis=(5, 95),
                showfliers=False,
                patch_artist=True,
                manage_ticks=False,
                boxprops={
                    "facecolor": _tint(own.color),
                    "edgecolor": own.color,
                    "hatch": HATCHES[at],
                },
                medianprops={"color": "#000000", "linewidth": 1.6},
                whiskerprops={"color": own.color},
                capprops={"color": own.color},
            )
            del boxes
            axes.plot(values.max(), place, marker="x", color=own.color, markersize=4.5)
    logarithmic(axes, low, high)
    axes.set_xlim(low / 1.3, high * 1.3)
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.set_yticks(range(len(parts)), [SHOWN[part] for part in parts])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("simulated seconds of a client's round")
    axes.set_title("how long, by part", loc="left", fontsize=10)


def _draw_last(axes: Axes, last: pd.DataFrame, series: dict[str, Look]) -> None:
    counts = last.groupby(["client", "series"]).size().unstack(fill_value=0)
    rounds = last.groupby("series").size()
    shares = (100 * counts / rounds).reindex(columns=list(series), fill_value=0.0)
    order = shares.mean(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_CLIENTS]
    shares = shares.loc[order].fillna(0.0)
    height = 0.84 / len(series)
    for at, (name, own) in enumerate(series.items()):
        places = np.arange(len(shares)) + (at - (len(series) - 1) / 2) * height
        axes.barh(
            places,
            shares[name],
            height=height,
            facecolor=_tint(own.color),
            edgecolor=own.color,
            hatch=HATCHES[at],
            linewidth=0.7,
        )
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.set_yticks(range(len(shares)), [f"client {client}" for client in shares.index])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel("rounds in which it was last (%)")
    axes.set_title("who came last", loc="left", fontsize=10)


def _tint(color: str) -> str:
    """A light shade, in which a hatch and a median can be seen."""
    parts = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(255 - 0.45 * (255 - part)):02X}" for part in parts)
