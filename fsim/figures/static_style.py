"""The one style of all figures, and where they write what they all have to say."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from fsim.figures.content import Content, Mean, billing_note, wrapped
from fsim.figures.series import Look, Part

# With the palette, which the colour-blind can tell apart, for print in grey.
DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1)),
    (0, (3, 1, 1, 1)),
)
# One fewer than colours, so that a marker comes again in another colour.
MARKERS = "osD^vPX"
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "fsim",
    "svg.fonttype": "none",
}


def line(look: Look) -> dict[str, Any]:
    """Arguments of a series' line."""
    return {
        "color": look.color,
        "linestyle": DASHES[look.number % len(DASHES)],
        "linewidth": 1.6,
    }


def marker(look: Look) -> str:
    """A series' marker."""
    return MARKERS[look.number % len(MARKERS)]


def point(look: Look) -> dict[str, Any]:
    """Arguments of a series' marker that stands by itself."""
    return {
        "color": look.color,
        "marker": marker(look),
        "markersize": 7,
        "markeredgecolor": "white",
        "linestyle": "none",
    }


def hatched(part: Part, linewidth: float = 0.5) -> dict[str, Any]:
    """Arguments of an area."""
    return {
        "facecolor": part.color,
        "hatch": 3 * part.hatch,
        "edgecolor": "#333333",
        "linewidth": linewidth,
    }


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return Figure(figsize=(width, height), layout="constrained")


def finish(figure: Figure, content: Content) -> Figure:
    """Write what the figure shows above it, and below it what has to be known of it."""
    billed = billing_note(content.summary)
    lines = [content.heading, content.subject, *([billed] if billed else [])]
    # Nine characters an inch, less the legend's two inches.
    room = int(9 * figure.get_size_inches()[0])
    figure.suptitle(
        "\n".join(wrapped(line, room) for line in lines),
        x=0.01,
        ha="left",
        fontsize=10.5,
        parse_math=False,
    )
    if content.told:
        text = textwrap.fill("; ".join(content.told), int(13 * figure.get_size_inches()[0]))
        figure.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color="#444444", parse_math=False)
    return figure


def legend(figure: Figure, handles: Sequence[Any], names: Sequence[str], title: str) -> None:
    """A legend beside the panels, where it covers nothing."""
    drawn = figure.legend(
        list(handles),
        [f"series {at}" for at in range(len(names))],
        loc="outside right upper",
        title=textwrap.fill(title, 24),
        fontsize=9,
        title_fontsize=9,
        alignment="left",
        handlelength=2.6,
    )
    # Set afterwards, and not as formulas: matplotlib has a meaning of its own for labels with a
    # leading underscore or with dollar signs.
    for text, name in zip(drawn.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(wrapped(name, 24))


def series_legend(
    figure: Figure, series: Mapping[str, Look], title: str = "policy", markersize: float = 5
) -> None:
    """The legend of panels in which every series is a line with markers."""
    handles = [
        Line2D([], [], **line(own), marker=marker(own), markersize=markersize)
        for own in series.values()
    ]
    legend(figure, handles, list(series), title)


def logarithmic(axes: Axes, low: float, high: float) -> None:
    """A logarithmic horizontal axis with plain numbers, a few of them whatever the range."""
    axes.set_xscale("log")
    subs: tuple[float, ...] = (1.0,) if high > 300 * low else (1.0, 2.0, 5.0)
    if high < 4 * low:
        subs = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def bars(means: Sequence[Mean]) -> list[list[float]]:
    """Error bars from the minima to the maxima, shape (2, n)."""
    return [[mean.below for mean in means], [mean.above for mean in means]]


def whole_rounds(axes: Axes) -> None:
    """A horizontal axis of rounds: whole numbers."""
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))


styled = mpl.rc_context(STYLE)
"""Decorator: the function draws in the style."""
