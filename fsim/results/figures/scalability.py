"""How the time of a round grows with the number of clients."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from fsim.results.figures.style import (
    FigureImpossible,
    Look,
    finish,
    look,
    new_figure,
    series_legend,
    spread,
    styled,
    time_scale,
)

KEYS = {
    "protocol.clients_per_round": "clients of a round",
    "fleet.clients": "clients of the fleet",
}
"""Settings over which it is drawn, the first of them that varies."""


@styled
def scalability(records: pd.DataFrame, settings: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Mean simulated time of a round over the number of clients, a line a policy.

    Points are means over the runs with as many clients, bars their minimum to maximum.

    Parameters
    ----------
    records, settings, summary
        As :func:`fsim.load` gives them, of runs with different numbers of clients.

    Raises
    ------
    FigureImpossible
        All runs have as many clients.
    """
    key = next((key for key in KEYS if key in settings and settings[key].nunique() > 1), None)
    if key is None:
        raise FigureImpossible(
            f"found one number of clients, needed are runs that differ in {' or '.join(KEYS)}"
        )
    rounds = records[records["kind"] == "round"]
    seconds = rounds.groupby("run", observed=True)["duration_s"].mean()
    table = settings[["run", "policy", key]].assign(
        seconds=settings["run"].map(seconds.to_dict()).astype(float)
    )
    factor, unit = time_scale(table["seconds"].max())
    figure = new_figure(8.6, 4.2)
    axes = figure.add_subplot()
    series: dict[str, Look] = {}
    for at, (policy, rows) in enumerate(table.groupby("policy", sort=False)):
        own, counted = look(at), (rows["seconds"] / factor).groupby(rows[key])
        means = counted.mean()
        bars = np.hstack([spread(values) for _, values in counted])
        axes.errorbar(means.index, means, yerr=bars, capsize=2.5, **own.line)
        axes.plot(means.index, means, **own.point)
        series[str(policy)] = own
    counts = sorted(table[key].unique())
    axes.set_xscale("log")
    axes.set_xticks(counts if len(counts) <= 10 else counts[:: -(-len(counts) // 10)])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(KEYS[key])
    axes.set_ylabel(f"mean simulated time of a round ({unit})")
    series_legend(figure, series)
    notes = ["bars: minimum to maximum over runs"] if len(table) > len(counts) * len(series) else []
    return finish(figure, "Time of a round by number of clients", summary, notes, most=len(table))
