"""How the time of a round grows with the number of clients."""

from __future__ import annotations

import pandas as pd

from fsim.figures.interactive_style import Chart, bars, curve, new_chart
from fsim.figures.scalability import content as contents


def scalability(records: pd.DataFrame, settings: pd.DataFrame, summary: pd.DataFrame) -> Chart:
    """Mean simulated time of a round; what is drawn is as in the figure of that name."""
    content = contents.scalability(records, settings, summary)
    figure = new_chart(340, "policy")
    for policy, points in content.points.items():
        means = list(points.values())
        line = curve(policy, content.series[policy], list(points), [own.mean for own in means])
        line.update(error_y=bars(means), marker_size=9, marker_maxdisplayed=0)
        figure.add_trace(
            line.update(hovertemplate=f"%{{x:,}} {content.axis}: %{{y:.4~g}} {content.unit}")
        )
    figure.update_xaxes(type="log", tickvals=content.counts, tickformat=",")
    figure.update_xaxes(title_text=content.axis)
    figure.update_yaxes(
        title_text=f"mean simulated time of a round ({content.unit})", rangemode="tozero"
    )
    return Chart(content, figure)
