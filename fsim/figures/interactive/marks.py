"""Marks as plotly's traces; a further kind of mark is registered with :func:`traces`."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
import plotly.graph_objects as go

from fsim.figures.content import Axis, Panel
from fsim.figures.interactive.style import area, bars, big_marker, faint, line, marker, text
from fsim.figures.marks import Bars, Boxes, Cells, Line, Mark, Points

MARKED = 12
"""Markers along a line at most, however many points it has."""


@singledispatch
def traces(mark: Mark, panel: Panel) -> list[Any]:
    """Traces of a mark; the first may have the entry in the legend."""
    raise TypeError(f"found a mark {type(mark).__name__}, which is not drawn by plotly")


@traces.register
def _line(mark: Line, panel: Panel) -> list[Any]:
    hover = _hover(mark, panel)
    if mark.thin:
        thin = {"mode": "lines", "line": line(mark.look, 1), "opacity": 0.7}
        return [go.Scatter(x=mark.x, y=mark.y, hovertemplate=hover, **thin)]
    trace = go.Scatter(
        x=mark.x,
        y=mark.y,
        mode="lines+markers",
        line=line(mark.look),
        marker=marker(mark.look) | {"maxdisplayed": MARKED},
        hovertemplate=hover,
    )
    if mark.band is None:
        return [trace]
    low, high = (np.asarray(values) for values in mark.band)
    trace.customdata = np.stack([low, high], axis=1)
    trace.hovertemplate += "<br>%{customdata[0]:.4~g} to %{customdata[1]:.4~g}"
    band = go.Scatter(
        x=np.concatenate([mark.x, mark.x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=faint(mark.look),
        hoverinfo="skip",
    )
    return [trace, band]


@traces.register
def _points(mark: Points, panel: Panel) -> list[Any]:
    return [
        go.Scatter(
            x=mark.x,
            y=mark.y,
            error_x=bars(mark.x, mark.x_bars, mark.look),
            error_y=bars(mark.y, mark.y_bars, mark.look),
            mode="markers",
            marker=big_marker(mark.look, mark.hollow),
            hovertemplate=_hover(mark, panel),
        )
    ]


@traces.register
def _bars(mark: Bars, panel: Panel) -> list[Any]:
    look = {"width": mark.thickness, "marker": area(mark.look)}
    if mark.upright:
        hover = _hover(mark, panel)
        return [go.Bar(x=mark.places, y=mark.sizes, hovertemplate=hover, **look)]
    names = [text(panel.y.places[round(place)]) for place in mark.places]
    size = f"%{{x:.4~g}}{_unit(panel.x)}"
    return [
        go.Bar(
            x=mark.sizes,
            y=mark.places,
            orientation="h",
            customdata=names,
            hovertemplate=f"%{{customdata}}: {size}",
            **look,
        )
    ]


@traces.register
def _boxes(mark: Boxes, panel: Panel) -> list[Any]:
    boxes = mark.boxes
    box = go.Box(
        y=mark.places,
        q1=[each.q1 for each in boxes],
        median=[each.median for each in boxes],
        q3=[each.q3 for each in boxes],
        lowerfence=[each.p5 for each in boxes],
        upperfence=[each.p95 for each in boxes],
        orientation="h",
        width=mark.thickness,
        fillcolor=mark.look.tint,
        line={"color": mark.look.color, "width": 1.5},
        hoverinfo="skip",
    )
    largest = go.Scatter(
        x=[each.largest for each in boxes],
        y=mark.places,
        mode="markers",
        marker=marker(mark.look, 8),
        customdata=[[each.median, each.p5, each.p95] for each in boxes],
        hovertemplate="median %{customdata[0]:.3~g}, 5th to 95th percentile "
        "%{customdata[1]:.3~g} to %{customdata[2]:.3~g}, maximum %{x:.3~g}",
    )
    return [box, largest]


@traces.register
def _cells(mark: Cells, panel: Panel) -> list[Any]:
    numbers, finite = mark.numbers, mark.finite
    ticks = {}
    if mark.log:
        at = np.geomspace(finite.min(), finite.max(), 5)
        ticks = {"tickvals": np.log10(at), "ticktext": [f"{value:.3g}" for value in at]}
    bar = {"title": {"text": mark.label, "side": "right", "font": {"size": 13}}, "thickness": 16}
    return [
        go.Heatmap(
            z=np.log10(numbers) if mark.log else numbers,
            text=[["" if np.isnan(value) else f"{value:.3g}" for value in row] for row in numbers],
            texttemplate="%{text}",
            # Cividis runs from dark to light in grey and to the colour-blind alike.
            colorscale="Cividis",
            xgap=1,
            ygap=1,
            showscale=len(finite) > 0,
            colorbar=bar | ticks,
            hovertemplate="%{text}<extra></extra>",
        )
    ]


def _hover(mark: Mark, panel: Panel) -> str:
    """The text shown at a point under the pointer: its values, with their units."""
    y = f"%{{y:.4~g}}{_unit(panel.y)}"
    hint = f"{mark.hint}: " if mark.hint else ""
    if panel.x.places:
        return hint + y
    if panel.x.unit:
        return f"{hint}{y} at %{{x:.4~g}}{_unit(panel.x)}"
    return f"{hint}{text(panel.x.label)} %{{x:,}}: {y}"


def _unit(axis: Axis) -> str:
    return axis.unit if axis.unit in ("", "%") else f" {axis.unit}"
