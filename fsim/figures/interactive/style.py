"""The style of all charts: that of the printed figures, in plotly's terms."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from fsim.figures.marks import Span, whiskers
from fsim.figures.series import Look
from fsim.figures.wording import wrapped

# Those of the printed figures, by plotly's names.
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


def text(name: str, width: int = NAME_WIDTH) -> str:
    """A name as plotly takes it, for which ``<`` begins markup; on several lines if it is long."""
    return "<br>".join(escape(line, quote=False) for line in wrapped(name, width).split("\n"))


def line(look: Look, width: float = 2) -> dict[str, Any]:
    """Of a line."""
    return {"color": look.color, "dash": DASHES[look.form % len(DASHES)], "width": width}


def marker(look: Look, size: float = 6) -> dict[str, Any]:
    """Of a marker."""
    symbol = MARKERS[look.form % len(MARKERS)]
    return {"color": look.color, "symbol": symbol, "size": size}


def big_marker(look: Look, hollow: bool = False) -> dict[str, Any]:
    """Of a marker that stands by itself."""
    fill, edge = ("#FFFFFF", look.color) if hollow else (look.color, "#FFFFFF")
    return marker(look, 11) | {"color": fill, "line": {"color": edge, "width": 1.5}}


def area(look: Look) -> dict[str, Any]:
    """Of bars, as their ``marker``."""
    pattern = {"shape": look.hatch, "fgcolor": look.color, "bgcolor": look.tint}
    return {
        "color": look.tint,
        "line": {"color": look.color, "width": 0.6},
        "pattern": pattern | {"size": 6, "solidity": 0.2},
    }


def faint(look: Look) -> str:
    """The colour of a band."""
    red, green, blue = (int(look.color[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"


def bars(values: Any, span: Span | None, look: Look) -> dict[str, Any] | None:
    """Error bars from the minima to the maxima; None where there are none."""
    if span is None:
        return None
    below, above = whiskers(values, span)
    # Without a colour they are of the marker's, which may be white.
    size = {"thickness": 1.2, "width": 3, "color": look.color}
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, **size}


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
