"""Where the time of a round goes: download, compute, upload, waiting."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from fsim.figures.interactive_style import Chart, hatched, new_chart, text
from fsim.figures.rounds import content as rounds


def round_breakdown(records: pd.DataFrame, summary: pd.DataFrame) -> Chart:
    """Stacked bars a round; what is drawn is as in the figure of that name."""
    content = rounds.round_breakdown(records, summary)
    count = len(content.stacks)
    height = 150 * count
    figure = new_chart(
        height,
        "part of a round",
        rows=count,
        columns=2,
        shared_xaxes=True,
        vertical_spacing=32 / height if count > 1 else 0,
        horizontal_spacing=0.08,
        row_titles=None,
    )
    for row, (name, stacks) in enumerate(content.stacks.items(), 1):
        for column, stack in enumerate((stacks.last, stacks.every), 1):
            for part in stack:
                own = rounds.PARTS[str(part)]
                bar = go.Bar(
                    x=stack.index,
                    y=stack[part],
                    name=own.name,
                    legendgroup=own.name,
                    showlegend=row == column == 1,
                    marker=hatched(own),
                    hovertemplate=f"round %{{x:g}}: %{{y:.3~g}} {content.unit}",
                )
                figure.add_trace(bar, row=row, col=column)
            if column == 2 and row > 1:
                figure.update_yaxes(matches="y2", row=row, col=2)
            if column == 1 and row > 1:
                figure.update_yaxes(matches="y", row=row, col=1)
        figure.add_annotation(
            text=f"<b>{text(name, 90)}</b>",
            x=0,
            xref="paper",
            xanchor="left",
            y=1,
            yref=f"y{2 * row - 1 if row > 1 else ''} domain",
            yanchor="bottom",
            showarrow=False,
        )
    figure.update_layout(barmode="stack", bargap=0.18, legend_traceorder="reversed", margin_t=32)
    figure.update_yaxes(title_text=content.unit, col=1)
    figure.update_xaxes(showgrid=False)
    figure.update_xaxes(title_text="round: client that came last", row=count, col=1)
    figure.update_xaxes(title_text="round: mean of the clients", row=count, col=2)
    return Chart(content, figure, wide=True)
