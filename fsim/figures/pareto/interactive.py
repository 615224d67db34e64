"""Final accuracy against the uplink it took to reach the target."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from fsim.figures.interactive_style import Chart, bars, big_marker, logarithmic, new_chart, text
from fsim.figures.pareto import content as contents


def pareto(summary: pd.DataFrame) -> Chart:
    """A point a series; what is drawn is as in the figure of that name."""
    content = contents.pareto(summary)
    never = [name for name, own in content.points.items() if own.uplink is None]
    legend = "policy (hollow: target not always reached)"
    if never:
        figure = new_chart(
            360,
            legend,
            columns=2,
            shared_yaxes=True,
            column_widths=[0.8, 0.2],
            horizontal_spacing=0.03,
        )
        figure.update_xaxes(
            title_text="target not<br>always reached", showticklabels=False, ticks="", col=2
        )
        figure.update_xaxes(range=[-0.7, max(len(never) - 0.3, 0.7)], showgrid=False, col=2)
    else:
        figure = new_chart(360, legend)
    for name, own in content.points.items():
        at = never.index(name) if own.uplink is None else own.uplink.mean
        where = "" if own.uplink is None else f" at %{{x:.4~g}} {content.unit}"
        point = go.Scatter(
            x=[at],
            y=[own.accuracy.mean],
            error_x=None if own.uplink is None else bars([own.uplink]),
            error_y=bars([own.accuracy]),
            name=text(content.written(name)),
            legendgroup=name,
            mode="markers",
            marker=big_marker(own.look, hollow=own.uplink is None),
            hovertemplate=f"%{{y:.1f}}%{where}",
        )
        # Without it error bars are of the marker's colour, which may be white.
        point.update(error_x_color=own.look.color, error_y_color=own.look.color)
        figure.add_trace(point, row=1, col=2 if own.uplink is None else 1)
    if sum(own.uplink is not None for own in content.points.values()) > 1:
        x, y = zip(*content.front, strict=True)
        front = {"color": "#777777", "width": 1, "dash": "dash"}
        line = go.Scatter(x=x, y=y, mode="lines", line=front, name="Pareto front")
        figure.add_trace(line.update(hoverinfo="skip"), row=1, col=1)
    if content.span is None:
        figure.add_annotation(
            text="no series", x=0.5, xref="x domain", y=0.5, yref="y domain", showarrow=False
        )
        figure.update_xaxes(title_text="uplink to target", showticklabels=False, col=1)
    else:
        title = f"uplink of all clients to the target ({content.unit})"
        figure.update_xaxes(logarithmic(*content.span), title_text=title, col=1)
    figure.update_yaxes(title_text="final accuracy (%)", col=1)
    return Chart(content, figure, wide=bool(never))
