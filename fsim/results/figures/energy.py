"""Energy a round: the mean of the clients, and the straggler's."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from fsim.results.energy import energy_by_round
from fsim.results.figures.style import (
    FigureImpossible,
    by_series,
    finish,
    looks,
    new_figure,
    series_legend,
    styled,
    whole_rounds,
)


@styled
def energy_per_round(records: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Joules by round: mean of the clients that took part, and the maximum; means over seeds.

    Parameters
    ----------
    records, summary
        As :func:`fsim.load` gives them.

    Raises
    ------
    FigureImpossible
        No energy was recorded.
    """
    if not records["energy_j"].sum() > 0:
        raise FigureImpossible("found no energy in the records")
    figure = new_figure(9.2, 3.8)
    panels = figure.subplots(1, 2)
    series = looks(summary)
    for name, rows in by_series(records, summary).items():
        if name not in series:
            continue
        runs = [energy_by_round(run) for _, run in rows.groupby("run", observed=True)]
        tables = [table for table in runs if len(table)]
        if not tables:
            continue
        means = pd.concat(tables)[["mean_j", "max_j"]].groupby(level="round").mean()
        own = series[name]
        for axes, column in zip(panels, ("mean_j", "max_j"), strict=True):
            axes.plot(
                means.index,
                means[column],
                **own.line,
                marker=own.marker,
                markersize=4,
                markevery=max(1, len(means) // 12),
            )
    for axes, title in zip(panels, ("mean of its clients", "its highest client"), strict=True):
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_ylim(bottom=0)
        whole_rounds(axes)
    panels[0].set_ylabel("energy of a client in the round (J)")
    series_legend(figure, series, markersize=4)
    notes = ["the two panels have scales of their own"]
    if summary["seed"].nunique() > 1:
        notes.append("means over seeds")
    return finish(figure, "Energy a round", summary, notes)
