"""Accuracy over time for each language, organ system or whatever the task tells apart."""

from __future__ import annotations

import math

import pandas as pd

from fsim.figures.interactive_style import Chart, curve, new_chart, text
from fsim.figures.labels import content as labels


def accuracy_by_label(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Chart:
    """A panel a label; what is drawn is as in the figure of that name."""
    content = labels.accuracy_by_label(evaluations, summary)
    shown = list(content.curves)
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    height = 140 * rows
    figure = new_chart(
        height,
        "policy",
        rows=rows,
        columns=columns,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=[text(label, 28) for label in shown],
        vertical_spacing=44 / height if rows > 1 else 0,
        horizontal_spacing=0.03,
    )
    for at, label in enumerate(shown):
        row, column = at // columns + 1, at % columns + 1
        for name, (x, y) in content.curves[label].items():
            line = curve(name, content.series[name], x, y, showlegend=at == 0)
            line.update(hovertemplate=f"%{{y:.1f}}% at %{{x:.4~g}} {content.unit}", marker_size=4)
            figure.add_trace(line.update(line_width=1.5), row=row, col=column)
        # The lowest panel of a column may be above the last row.
        if at + columns >= len(shown):
            title = f"time ({content.unit})"
            figure.update_xaxes(showticklabels=True, title_text=title, row=row, col=column)
    for row in range(1, rows + 1):
        figure.update_yaxes(title_text="%", row=row, col=1)
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(range=[-3, 103], tickvals=[0, 50, 100])
    return Chart(content, figure, wide=columns > 1)
