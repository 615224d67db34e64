"""Energy a round, and what a run takes from the clients' batteries: means and highest clients."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from fsim.figures.energy import content as energy
from fsim.figures.interactive_style import Chart, curve, new_chart, text


def energy_per_round(records: pd.DataFrame, summary: pd.DataFrame) -> Chart:
    """Joules by round; what is drawn is as in the figure of that name."""
    return _drawn(energy.energy_per_round(records, summary))


def battery_drain(
    records: pd.DataFrame, summary: pd.DataFrame, batteries: Mapping[int, float]
) -> Chart:
    """Percent of a full battery by round; what is drawn is as in the figure of that name."""
    return _drawn(energy.battery_drain(records, summary, batteries))


def _drawn(content: energy.ByRound) -> Chart:
    figure = new_chart(
        280,
        "policy",
        columns=2,
        subplot_titles=content.titles,
        horizontal_spacing=0.1,
    )
    for name, table in content.tables.items():
        for column, values in enumerate(("mean", "highest"), 1):
            line = curve(name, content.series[name], table.index, table[values])
            line.update(showlegend=column == 1, hovertemplate="round %{x}: %{y:.4~g}")
            figure.add_trace(line, row=1, col=column)
    figure.update_xaxes(title_text="round", tickformat="d")
    figure.update_xaxes(matches="x", col=2)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text=text(content.axis), col=1)
    return Chart(content, figure, wide=True)
