"""Accuracy over simulated time and over uplink: a line a series, a band over its seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fsim.figures.accuracy import content as accuracy
from fsim.figures.interactive_style import Chart, big_marker, curve, line, logarithmic, new_chart


def accuracy_over_time(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Chart:
    """Accuracy over simulated time; what is drawn is as in the figure of that name."""
    content = accuracy.accuracy_over_time(evaluations, summary)
    chart = _drawn(content)
    chart.figure.update_xaxes(rangemode="tozero")
    return chart


def accuracy_over_uplink(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Chart:
    """Accuracy over cumulative uplink; what is drawn is as in the figure of that name."""
    return _drawn(accuracy.accuracy_over_uplink(evaluations, summary))


def _drawn(content: accuracy.Curves) -> Chart:
    figure = new_chart(360, "policy (large marker: target reached)")
    for name, own in content.curves.items():
        figure.add_traces(_traces(name, own, content.unit))
    for target in content.targets:
        figure.add_hline(target, line={"color": "#777777", "width": 1, "dash": "dot"})
        figure.add_annotation(
            text=f"target<br>{target:g}%",
            # Beside the panel, where it covers nothing.
            x=1,
            xref="paper",
            xanchor="left",
            y=target,
            showarrow=False,
            font={"size": 12, "color": "#555555"},
        )
    figure.update_layout(margin_r=60)
    figure.update_xaxes(title_text=f"{content.axis} ({content.unit})")
    if content.span is not None:
        figure.update_xaxes(logarithmic(*content.span))
    figure.update_yaxes(title_text="held-out accuracy (%)", rangemode="tozero")
    return Chart(content, figure)


def _traces(name: str, own: accuracy.Curve, unit: str) -> list[go.Scatter]:
    """The mean first, which has the entry in the legend."""
    told = f"%{{y:.1f}}% at %{{x:.4~g}} {unit}"
    if own.runs > 1:
        told += f"<br>{own.runs} runs: %{{customdata[0]:.1f}} to %{{customdata[1]:.1f}}%"
    seeds = np.stack([own.low, own.high], axis=1)
    traces = [curve(name, own.look, own.x, own.mean, customdata=seeds, hovertemplate=told)]
    unnamed = {"name": traces[0].name, "legendgroup": name, "showlegend": False}
    if own.runs > 1:
        traces.append(
            go.Scatter(
                x=np.concatenate([own.x, own.x[::-1]]),
                y=np.concatenate([own.high, own.low[::-1]]),
                mode="lines",
                line={"width": 0},
                fill="toself",
                fillcolor=_faint(own.look.color),
                hoverinfo="skip",
                **unnamed,
            )
        )
    for x, y in own.tails:
        traces.append(
            go.Scatter(
                x=x,
                y=y,
                mode="lines",
                line=line(own.look, 1),
                opacity=0.7,
                hovertemplate=f"one seed: %{{y:.1f}}% at %{{x:.4~g}} {unit}",
                **unnamed,
            )
        )
    if own.reached is not None:
        at, height = own.reached
        traces.append(
            go.Scatter(
                x=[at],
                y=[height],
                mode="markers",
                marker=big_marker(own.look),
                hovertemplate=f"target reached at %{{x:.4~g}} {unit}",
                **unnamed,
            )
        )
    return traces


def _faint(color: str) -> str:
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"
