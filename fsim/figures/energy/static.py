"""Energy a round, and what a run takes from the clients' batteries: means and highest clients."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from fsim.figures.energy import content as energy
from fsim.figures.static_style import (
    finish,
    line,
    marker,
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
    return _drawn(energy.energy_per_round(records, summary))


@styled
def battery_drain(
    records: pd.DataFrame, summary: pd.DataFrame, batteries: Mapping[int, float]
) -> Figure:
    """Percent of a full battery spent by the end of each round: the mean, and the highest client.

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
    return _drawn(energy.battery_drain(records, summary, batteries))


def _drawn(content: energy.ByRound) -> Figure:
    figure = new_figure(9.2, 3.8)
    panels = figure.subplots(1, 2)
    for name, table in content.tables.items():
        look = content.series[name]
        for axes, column in zip(panels, ("mean", "highest"), strict=True):
            axes.plot(
                table.index,
                table[column],
                **line(look),
                marker=marker(look),
                markersize=4,
                markevery=max(1, len(table) // 12),
            )
    for axes, title in zip(panels, content.titles, strict=True):
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_ylim(bottom=0)
        whole_rounds(axes)
    panels[0].set_ylabel(content.axis)
    series_legend(figure, content.series, markersize=4)
    return finish(figure, content)
