"""The one style of all charts: that of the figures, in plotly's terms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fsim.figures.content import Content, Mean, wrapped
from fsim.figures.series import Look, Part

# Those of the figures, by plotly's names.
DASHES = ("solid", "dash", "dashdot", "dot", "8px,2px", "5px,2px,2px,2px")
MARKERS = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "triangle-down",
    "cross",
    "x",
)
NAME_WIDTH = 40
"""Characters of a line of a name."""

MARKED = 12
"""Markers along a line at most, however many points it has."""

AXIS: dict[str, Any] = {
    "automargin": True,
    "gridcolor": "#E5E5E5",
    "linecolor": "#444444",
    "showline": True,
    "ticks": "outside",
    "ticklen": 4,
    "tickcolor": "#444444",
    "zeroline": False,
    "title": {"standoff": 8, "font": {"size": 13}},
}
LAYOUT: dict[str, Any] = {
    "template": "none",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#111111"},
    "paper_bgcolor": "#FFFFFF",
    "plot_bgcolor": "#FFFFFF",
    "margin": {"l": 56, "r": 24, "t": 12, "b": 48},
    "hovermode": "closest",
    "hoverlabel": {"namelength": -1, "font": {"size": 13}},
    # Below the panels, in as many lines as it takes: names are long and windows narrow.
    "legend": {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yanchor": "bottom",
        "yref": "container",
        "maxheight": 1000,
        "itemsizing": "trace",
        "itemwidth": 40,
        "font": {"size": 12},
        "title": {"side": "top", "font": {"size": 12}},
    },
}


@dataclass(frozen=True)
class Chart:
    """A chart and what is told of it.

    Attributes
    ----------
    content
        What it shows.
    figure
        The chart; ``layout.meta["height"]`` is the height in pixels of its panels without what is
        written around them, which takes as much more as the window's width makes it take.
    wide
        Whether it needs more width than a telephone has.
    """

    content: Content
    figure: go.Figure
    wide: bool = False


def new_chart(
    height: int, legend: str | None, rows: int = 1, columns: int = 1, **options: Any
) -> go.Figure:
    """An empty chart.

    Parameters
    ----------
    height
        Of all panels together, pixels.
    legend
        What the names in the legend are of; None for no legend.
    rows, columns
        Of panels.
    **options
        Of plotly's ``make_subplots``.
    """
    figure = make_subplots(rows, columns, **options)
    figure.update_layout(LAYOUT, meta={"height": height}, height=height + 150)
    if figure.layout.annotations:
        figure.update_layout(margin_t=44)
    figure.update_layout(showlegend=legend is not None, legend_title_text=legend)
    figure.update_xaxes(AXIS)
    figure.update_yaxes(AXIS)
    # Titles of panels, which plotly centres.
    for title in figure.layout.annotations:
        title.update(font={"size": 13})
    return figure


def text(name: str, width: int = NAME_WIDTH) -> str:
    """A name as plotly takes it, for which ``<`` begins markup; on several lines if it is long."""
    return "<br>".join(escape(line, quote=False) for line in wrapped(name, width).split("\n"))


def line(look: Look, width: float = 2) -> dict[str, Any]:
    """A series' line."""
    return {"color": look.color, "dash": DASHES[look.number % len(DASHES)], "width": width}


def marker(look: Look, size: float = 6) -> dict[str, Any]:
    """A series' marker."""
    symbol = MARKERS[look.number % len(MARKERS)]
    return {"color": look.color, "symbol": symbol, "size": size}


def big_marker(look: Look, hollow: bool = False) -> dict[str, Any]:
    """A series' marker that stands by itself."""
    fill, edge = ("#FFFFFF", look.color) if hollow else (look.color, "#FFFFFF")
    return marker(look, 11) | {"color": fill, "line": {"color": edge, "width": 1.5}}


def curve(name: str, look: Look, x: Any, y: Any, **options: Any) -> go.Scatter:
    """A series' line with its markers, and its entry in the legend."""
    return go.Scatter(
        x=x,
        y=y,
        name=text(name),
        legendgroup=name,
        mode="lines+markers",
        line=line(look),
        marker=marker(look) | {"maxdisplayed": MARKED},
        **options,
    )


def area(look: Look) -> dict[str, Any]:
    """The ``marker`` of a series' bars."""
    return _hatched(look.tint, look.hatch, look.color)


def hatched(part: Part) -> dict[str, Any]:
    """The ``marker`` of the bars of a part."""
    return _hatched(part.color, part.hatch, "#333333")


def _hatched(color: str, hatch: str, edge: str) -> dict[str, Any]:
    pattern = {"shape": hatch, "fgcolor": edge, "bgcolor": color, "size": 6, "solidity": 0.2}
    return {"color": color, "line": {"color": edge, "width": 0.6}, "pattern": pattern}


def bars(means: Sequence[Mean]) -> dict[str, Any]:
    """Error bars from the minima to the maxima."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [mean.above for mean in means],
        "arrayminus": [mean.below for mean in means],
        "thickness": 1.2,
        "width": 3,
    }


def logarithmic(low: float, high: float) -> dict[str, Any]:
    """An axis for values from ``low`` to ``high``, with plain numbers at a few of them.

    There are numbers far beyond those values too, for who zooms out.
    """
    subs: tuple[float, ...] = (1, 2, 5)
    if high > 300 * low:
        subs = (1,)
    elif high < 10 * low:
        subs = (1, 1.5, 2, 3, 4, 5, 7)
    decades = range(math.floor(math.log10(low)) - 3, math.ceil(math.log10(high)) + 4)
    ticks = [sub * 10.0**decade for decade in decades for sub in subs]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
