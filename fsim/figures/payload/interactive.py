"""What the bytes of a payload are: values, positions, scales, headers."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from fsim.figures.interactive_style import Chart, hatched, new_chart, text
from fsim.figures.payload import content as payload


def payload_breakdown(records: pd.DataFrame, summary: pd.DataFrame) -> Chart:
    """A bar a series; what is drawn is as in the figure of that name."""
    content = payload.payload_breakdown(records, summary)
    names = [text(name, 30) for name in content.means.index]
    lines = max(name.count("<br>") + 1 for name in names)
    figure = new_chart(30 + max(34, 17 * lines) * len(names), "section")
    for section in content.sections:
        figure.add_trace(
            go.Bar(
                # By number: two names might be written alike.
                y=list(range(len(names))),
                x=content.means[section.name],
                orientation="h",
                name=text(section.name),
                marker=hatched(section),
                hovertemplate=f"%{{x:.4~g}} {content.unit}",
            )
        )
    for at, total in enumerate(content.means.sum(axis=1)):
        figure.add_annotation(
            text=f"{total:.4g}", x=total, y=at, xanchor="left", xshift=3, showarrow=False
        )
    figure.update_layout(barmode="stack", bargap=0.3, legend_traceorder="normal")
    figure.update_xaxes(title_text=text(content.axis, 90), rangemode="tozero")
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, autorange="reversed", showgrid=False
    )
    return Chart(content, figure, wide=True)
