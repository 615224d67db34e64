"""What a run takes from the clients' batteries."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from fsim.results.energy import battery_drain
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
def battery_drain_over_rounds(
    records: pd.DataFrame, summary: pd.DataFrame, batteries: Mapping[int, float]
) -> Figure:
    """Percent of a full battery spent by the end of each round: highest client, and the mean.

    Of a series of several seeds its first run is drawn: other seeds have other fleets.

    Parameters
    ----------
    records, summary
        As :func:`fsim.load` gives them.
    batteries
        Client -> joules of its full battery; clients on the mains are left out.

    Raises
    ------
    FigureImpossible
        No batteries are known.
    """
    if not batteries:
        raise FigureImpossible("found no 'batteries_j' in the facts of the run's summary")
    figure = new_figure(9.2, 3.8)
    panels = figure.subplots(1, 2)
    series = looks(summary)
    for name, rows in by_series(records, summary).items():
        if name not in series or rows.empty:
            continue
        first = rows[rows["run"] == rows["run"].iloc[0]]
        drain = battery_drain(first, batteries)
        own = series[name]
        for axes, spent in zip(panels, (drain.mean(axis=1), drain.max(axis=1)), strict=True):
            axes.plot(spent.index, spent, **own.line)
            axes.plot(spent.index[-1:], spent.iloc[-1:], **own.point)
    titles = (f"mean of {len(batteries):,} clients with a battery", "highest client")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_ylim(bottom=0)
        whole_rounds(axes)
    panels[0].set_ylabel("spent of a full battery (%)")
    series_legend(figure, series)
    notes = ["nothing charged meanwhile", "the two panels have scales of their own"]
    if summary["seed"].nunique() > 1:
        notes.append("the first seed of each")
    return finish(figure, "Battery drain", summary, notes)
