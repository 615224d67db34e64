"""A content, drawn with plotly: to be hovered over, zoomed and toggled in a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fsim.figures.content import Axis, Content, Panel
from fsim.figures.interactive.marks import traces
from fsim.figures.interactive.style import AXIS, LAYOUT, logarithmic, text
from fsim.figures.marks import Bars, Boxes, Cells

PIXELS = 110
"""Of an inch of a panel in print."""

BETWEEN = 46
"""Pixels between rows of panels, for numbers and a title."""

WIDEST = 9.0
"""Inches in print of what a telephone has room for."""


@dataclass(frozen=True)
class Chart:
    """A chart and what is written of it.

    Attributes
    ----------
    content
        What it shows.
    figure
        The chart; ``layout.meta["height"]`` is the height in pixels of its panels without what is
        written around them, which takes as much more as the window's width makes it take.
    """

    content: Content
    figure: go.Figure

    @property
    def wide(self) -> bool:
        """True if it needs more width than a telephone has."""
        return self.content.inches > WIDEST


def draw(content: Content) -> Chart:
    """Draw what a figure shows."""
    rows, columns = content.rows, content.columns
    height = round(PIXELS * content.height * rows)
    count = len(content.panels)
    figure = make_subplots(
        rows,
        columns,
        specs=[[{} if row * columns + at < count else None for at in range(columns)]
               for row in range(rows)],
        column_widths=[panel.share for panel in content.panels[:columns]],
        vertical_spacing=BETWEEN / height if rows > 1 else 0,
        horizontal_spacing=_spacing(content),
    )  # fmt: skip
    figure.update_layout(LAYOUT, meta={"height": height}, height=height + 150)
    figure.update_xaxes(AXIS)
    figure.update_yaxes(AXIS)
    named: set[str] = set()
    axes: dict[Axis, str] = {}
    for at, panel in enumerate(content.panels):
        place = {"row": at // columns + 1, "col": at % columns + 1}
        _add_marks(figure, panel, place, named)
        _write_in(figure, panel, at + 1, 90 // columns + 5)
        labels = content.labels(at)
        for axis, side, label in zip((panel.x, panel.y), "xy", labels, strict=True):
            update = figure.update_xaxes if side == "x" else figure.update_yaxes
            number = f"{side}{at + 1 if at else ''}"
            own = _run(axis, side, panel, label)
            if axis in axes:
                own["matches"] = axes[axis]
            axes.setdefault(axis, number)
            update(own, **place)
    stacked = any(_is_stacked(mark) for panel in content.panels for mark in panel.marks)
    figure.update_layout(
        barmode="stack" if stacked else "overlay",
        showlegend=bool(named),
        legend_title_text=content.legend,
        legend_traceorder="reversed" if content.upright else "normal",
        margin_t=44 if any(panel.title for panel in content.panels) else 12,
        margin_r=60 if any(panel.targets for panel in content.panels) else 24,
    )
    return Chart(content, figure)


def _spacing(content: Content) -> float:
    """Between columns; wider where the second has names or numbers of its own."""
    if content.columns == 1 or all(content.panels[0].y is p.y for p in content.panels):
        return 0.03
    names = any(panel.y.places for panel in content.panels[1:])
    return 0.14 if names else 0.08


def _is_stacked(mark: Any) -> bool:
    return isinstance(mark, Bars) and bool(np.any(mark.starts))


def _add_marks(figure: go.Figure, panel: Panel, place: dict[str, int], named: set[str]) -> None:
    """The first trace of a name has the entry in the legend, which toggles all of that name."""
    for mark in panel.marks:
        for trace in traces(mark, panel):
            if mark.name:
                trace.update(name=text(mark.name), legendgroup=mark.name)
            # Boxes have no hatches: the bars beside them have.
            in_legend = bool(mark.name) and mark.name not in named and not isinstance(mark, Boxes)
            if trace.type != "heatmap":
                trace.showlegend = in_legend
            named |= {mark.name} if in_legend else set()
            figure.add_trace(trace, **place)
        if isinstance(mark, Cells):
            for row, column in np.argwhere(np.isnan(mark.numbers)):
                words = {"text": mark.empty[row][column], "font_size": 12, "showarrow": False}
                figure.add_annotation(x=column, y=row, **words, **place)


def _write_in(figure: go.Figure, panel: Panel, number: int, room: int) -> None:
    """Write what belongs to a panel and none of its marks."""
    x, y = (f"{side}{number if number > 1 else ''}" for side in "xy")
    if panel.title:
        corner = {"x": 0, "xref": f"{x} domain", "y": 1, "yref": f"{y} domain"}
        anchor = {"xanchor": "left", "yanchor": "bottom", "align": "left", "showarrow": False}
        figure.add_annotation(text=text(panel.title, room), **corner, **anchor)
    if not panel.marks:
        middle = {"x": 0.5, "xref": f"{x} domain", "y": 0.5, "yref": f"{y} domain"}
        figure.add_annotation(text="no series", showarrow=False, **middle)
    for target in panel.targets:
        ends = {"x0": 0, "x1": 1, "xref": f"{x} domain", "y0": target, "y1": target, "yref": y}
        figure.add_shape(type="line", line={"color": "#777777", "width": 1, "dash": "dot"}, **ends)
        figure.add_annotation(
            text=f"target<br>{target:g}{panel.y.unit}",
            # Beside the panel, where it covers nothing.
            x=1,
            xref=f"{x} domain",
            xanchor="left",
            y=target,
            yref=y,
            showarrow=False,
            font={"size": 12, "color": "#555555"},
        )
    for place, end in panel.ends:
        beside = {"xanchor": "left", "xshift": 3, "showarrow": False}
        figure.add_annotation(text=f"{end:.4g}", x=end, y=place, xref=x, yref=y, **beside)


def _run(axis: Axis, side: str, panel: Panel, labels: bool) -> dict[str, Any]:
    """An axis in plotly's terms; ``labels`` writes its title and numbers."""
    own: dict[str, Any] = {}
    if axis.log and axis.span is not None:
        own |= logarithmic(*axis.span)
    elif axis.span is not None:
        own["range"] = list(axis.span)
    elif axis.floor == 0:
        own["rangemode"] = "tozero"
    if axis.whole:
        own["tickformat"] = "d"
    if axis.numbers:
        own |= {"tickvals": list(axis.numbers), "ticktext": [f"{n:,g}" for n in axis.numbers]}
    if axis.places:
        count, width = len(axis.places), 14 if side == "x" else 30
        names = [text(name, width) if name.strip() else "" for name in axis.places]
        ends = [-0.5, count - 0.5]
        own |= {"tickvals": list(range(count)), "ticktext": names, "showgrid": False, "ticks": ""}
        own["range"] = ends if side == "x" else ends[::-1]
    if any(isinstance(mark, Bars) and mark.upright for mark in panel.marks) and side == "x":
        own["showgrid"] = False
    own["showticklabels"] = labels and bool(panel.marks or side == "y")
    if labels and axis.title:
        own["title_text"] = "<br>".join(text(part, 90) for part in axis.title.split("\n"))
    return own
