"""The style of all printed figures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from fsim.figures.series import Look
from fsim.figures.wording import wrapped

# With the palette, which the colour-blind can tell apart, for print in grey.
DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1)),
    (0, (3, 1, 1, 1)),
)
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
NAME_WIDTH = 24
"""Characters of a line of a name in the legend."""


def line(look: Look) -> dict[str, Any]:
    """Arguments of a line."""
    return {
        "color": look.color,
        "linestyle": DASHES[look.form % len(DASHES)],
        "linewidth": 1.6,
    }


def marker(look: Look) -> str:
    """The marker of a look."""
    return MARKERS[look.form % len(MARKERS)]


def point(look: Look, hollow: bool = False) -> dict[str, Any]:
    """Arguments of a marker that stands by itself."""
    return {
        "color": look.color,
        "marker": marker(look),
        "markersize": 7,
        "markerfacecolor": "white" if hollow else look.color,
        "markeredgecolor": look.color if hollow else "white",
        "linestyle": "none",
    }


def area(look: Look, linewidth: float = 0.6) -> dict[str, Any]:
    """Arguments of an area."""
    return {
        "facecolor": look.tint,
        "hatch": 3 * look.hatch,
        "edgecolor": look.color,
        "linewidth": linewidth,
    }


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return Figure(figsize=(width, height), layout="constrained")


def legend(figure: Figure, handles: Sequence[Any], names: Sequence[str], title: str) -> None:
    """A legend beside the panels, where it covers nothing."""
    legend = figure.legend(
        list(handles),
        [f"series {at}" for at in range(len(names))],
        loc="outside right upper",
        title=textwrap.fill(title, NAME_WIDTH),
        fontsize=9,
        title_fontsize=9,
        alignment="left",
        handlelength=2.6,
    )
    # Set afterwards, and not as formulas: matplotlib has a meaning of its own for labels with a
    # leading underscore or with dollar signs.
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(wrapped(name, NAME_WIDTH))


def write_around(figure: Figure, heading: str, note: str) -> None:
    """Write above a figure what it shows, in lines, and below it what has to be known of it."""
    figure.suptitle(heading, x=0.01, ha="left", fontsize=10.5, parse_math=False)
    if note:
        text = textwrap.fill(note, int(13 * figure.get_size_inches()[0]))
        figure.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color="#444444", parse_math=False)


styled = mpl.rc_context(STYLE)
"""Decorator: the function draws in the style."""
