"""How unequal clients' rounds are, in which part, and who keeps the others waiting."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from fsim.figures.interactive_style import Chart, area, logarithmic, marker, new_chart, text
from fsim.figures.stragglers import content as contents


def stragglers(records: pd.DataFrame, summary: pd.DataFrame) -> Chart:
    """Boxes, and who came last; what is drawn is as in the figure of that name."""
    content = contents.stragglers(records, summary)
    # 12 pixels a bar, and a gap between the groups.
    bars = 12 * (len(content.series) + 1)
    heights = [max(bars * len(content.parts), 90), max(bars * len(content.last), 90)]
    between = 90
    figure = new_chart(
        sum(heights) + between,
        "policy",
        rows=2,
        row_heights=[height / sum(heights) for height in heights],
        vertical_spacing=between / (sum(heights) + between),
    )
    for name, look in content.series.items():
        grouped = {"name": text(name), "legendgroup": name}
        found = [part for part in content.parts if (part, name) in content.boxes]
        boxes = [content.boxes[part, name] for part in found]
        places = [content.place(part, name) for part in found]
        box = go.Box(
            y=places,
            q1=[each.q1 for each in boxes],
            median=[each.median for each in boxes],
            q3=[each.q3 for each in boxes],
            lowerfence=[each.p5 for each in boxes],
            upperfence=[each.p95 for each in boxes],
            orientation="h",
            width=content.step * 0.8,
            fillcolor=look.tint,
            line={"color": look.color, "width": 1.5},
            showlegend=False,
            hoverinfo="skip",
            **grouped,
        )
        largest = go.Scatter(
            x=[each.largest for each in boxes],
            y=places,
            mode="markers",
            marker=marker(look, 8),
            showlegend=False,
            customdata=[[each.median, each.p5, each.p95] for each in boxes],
            hovertemplate="median %{customdata[0]:.3~g} s, 5th to 95th percentile "
            "%{customdata[1]:.3~g} to %{customdata[2]:.3~g} s, maximum %{x:.3~g} s",
            **grouped,
        )
        last = go.Bar(
            x=content.last[name],
            y=[f"client {client}" for client in content.last.index],
            orientation="h",
            marker=area(look),
            hovertemplate="%{y} was last in %{x:.3~g}% of rounds",
            **grouped,
        )
        figure.add_traces([box, largest, last], rows=[1, 1, 2], cols=[1, 1, 1])
    figure.update_layout(barmode="group", bargap=0.16)
    names = [contents.SHOWN[part] for part in content.parts]
    title = "simulated seconds of a client's round"
    figure.update_xaxes(logarithmic(*content.span), title_text=title, row=1)
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.5, -0.5], row=1
    )
    figure.update_xaxes(title_text="rounds in which it was last (%)", row=2)
    figure.update_yaxes(autorange="reversed", row=2)
    figure.update_yaxes(showgrid=False, ticks="")
    return Chart(content, figure)
