"""A metric over two settings that were swept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fsim.figures.interactive_style import Chart, new_chart, text
from fsim.figures.sweep import content as sweep


def sweep_heat_map(summary: pd.DataFrame, settings: pd.DataFrame) -> Chart:
    """The time to the target over the two settings that vary; as in the figure of that name."""
    content = sweep.sweep_heat_map(summary, settings)
    numbers = content.numbers
    height, width = numbers.shape
    figure = new_chart(max(200, 40 * height), None)
    ticks = {}
    if content.logarithmic:
        shown = numbers[~np.isnan(numbers)]
        at = np.geomspace(shown.min(), shown.max(), 5)
        ticks = {"tickvals": np.log10(at), "ticktext": [f"{value:.3g}" for value in at]}
    known = not np.isnan(numbers).all()
    figure.add_trace(
        go.Heatmap(
            z=np.log10(numbers) if content.logarithmic else numbers,
            text=[["" if np.isnan(value) else f"{value:.3g}" for value in row] for row in numbers],
            texttemplate="%{text}",
            # Cividis runs from dark to light in grey and to the colour-blind alike.
            colorscale="Cividis",
            xgap=1,
            ygap=1,
            showscale=known,
            colorbar={
                "title": {"text": content.label, "side": "right", "font": {"size": 13}},
                "thickness": 16,
                **ticks,
            },
            hovertemplate="%{text}<extra></extra>",
        )
    )
    for row, column in np.argwhere(np.isnan(numbers)):
        figure.add_annotation(
            text=content.missing(row, column), x=column, y=row, showarrow=False, font_size=12
        )
    rows, columns = ([text(str(name), 22) for name in axis] for axis in content.values.axes)
    figure.update_xaxes(tickvals=list(range(width)), ticktext=columns, title_text=content.columns)
    figure.update_yaxes(tickvals=list(range(height)), ticktext=rows, title_text=content.rows)
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(margin_l=24)
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(showgrid=False, showline=False, ticks="")
    return Chart(content, figure, wide=width > 6)
