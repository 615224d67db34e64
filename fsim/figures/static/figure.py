"""A content, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from fsim.figures.content import Axis, Content, Panel, billing_note
from fsim.figures.static.marks import draw as draw_mark
from fsim.figures.static.marks import handle
from fsim.figures.static.style import (
    NAME_WIDTH,
    STYLE,
    legend,
    new_figure,
    styled,
    write_around,
)
from fsim.figures.wording import wrapped

Side = Literal["x", "y"]

AROUND = 1.4
"""Inches of what is written above and below the panels."""

MOST_NUMBERS = 10
"""Numbers along an axis that have been chosen by a figure."""


@styled
def draw(content: Content) -> Figure:
    """Draw what a figure shows."""
    entries = content.entries
    lines = sum(wrapped(name, NAME_WIDTH).count("\n") + 1.25 for name in entries)
    height = max(AROUND + content.rows * content.height, 0.8 + 0.15 * lines)
    figure = new_figure(content.inches, height)
    shares = [panel.share for panel in content.panels[: content.columns]]
    grid = figure.add_gridspec(content.rows, content.columns, width_ratios=shares)
    across: dict[Axis, Axes] = {}
    along: dict[Axis, Axes] = {}
    panels = []
    for at, panel in enumerate(content.panels):
        place = grid[divmod(at, content.columns)]
        shared = {"sharex": across.get(panel.x), "sharey": along.get(panel.y)}
        axes = figure.add_subplot(place, **shared)
        across.setdefault(panel.x, axes)
        along.setdefault(panel.y, axes)
        panels.append(axes)
        for mark in panel.marks:
            draw_mark(mark, axes)
    # Once all is drawn that may share an axis.
    for at, (panel, axes) in enumerate(zip(content.panels, panels, strict=True)):
        _finish(axes, panel, 90 // content.columns)
        labels = content.labels(at)
        _run(axes, "x", panel.x, labels[0])
        _run(axes, "y", panel.y, labels[1])
    if entries:
        legend(figure, [handle(marks) for marks in entries.values()], list(entries), content.legend)
    heading = [content.heading, content.subject, billing_note(content.summary)]
    # Nine characters an inch.
    room = int(9 * content.inches)
    text = "\n".join(wrapped(line, room) for line in heading if line)
    write_around(figure, text, "; ".join(content.remarks))
    return figure


def save(figure: Figure, path: Path | IO[bytes], kind: str) -> None:
    """Write a figure as ``png`` or ``svg``, to a path or to what is open."""
    # No date in the file: the same run draws the same bytes.
    metadata = {"Date": None} if kind == "svg" else None
    with mpl.rc_context(STYLE):
        figure.savefig(path, dpi=150, format=kind, metadata=metadata)
    # Laid out once, a third of the time that drawing takes: the next format keeps the places.
    figure.set_layout_engine("none")


def _finish(axes: Axes, panel: Panel, room: int) -> None:
    """Write what belongs to a panel and none of its marks."""
    if panel.title:
        axes.set_title(wrapped(panel.title, room), loc="left", fontsize=10, parse_math=False)
    if not panel.marks:
        look: Any = {"ha": "center", "transform": axes.transAxes, "color": "#555555"}
        axes.text(0.5, 0.5, "no series", **look)
        axes.set_xticks([])
    for target in panel.targets:
        axes.axhline(target, color="#777777", linewidth=1, linestyle=(0, (1, 2)))
        axes.annotate(
            f"target\n{target:g}{panel.y.unit}",
            # Beside the panel, where it covers nothing.
            (1, target),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            color="#555555",
            fontsize=9,
        )
    for place, end in panel.ends:
        axes.annotate(
            f"{end:.4g}",
            (end, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )


def _run(axes: Axes, side: Side, axis: Axis, labels: bool) -> None:
    """Let an axis, ``x`` or ``y``, run as it should; ``labels`` writes its title and numbers."""
    ticks = axes.xaxis if side == "x" else axes.yaxis
    limit = axes.set_xlim if side == "x" else axes.set_ylim
    if axis.log and axis.span is not None:
        _logarithmic(axes, side, *axis.span)
        limit(axis.span[0] / 1.25, axis.span[1] * 1.25)
    elif axis.span is not None:
        limit(*axis.span)
    elif axis.floor is not None:
        limit(axis.floor, None)
    elif not axis.places:
        axes.margins(x=0.05 if side == "x" else None, y=0.12 if side == "y" else None)
    if axis.whole:
        ticks.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    if axis.numbers:
        count = len(axis.numbers)
        numbers = axis.numbers[:: max(1, -(-count // MOST_NUMBERS))]
        ticks.set_major_locator(FixedLocator([float(number) for number in numbers]))
        ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.minorticks_off()
    if axis.places:
        _name(axes, side, axis.places)
    axes.tick_params(axis=side, **{"labelbottom" if side == "x" else "labelleft": labels})
    if labels:
        ticks.set_label_text(axis.title)
        ticks.label.set_parse_math(False)


def _logarithmic(axes: Axes, side: Side, low: float, high: float) -> None:
    """Plain numbers along a logarithmic axis, a few of them whatever the range."""
    axes.set(**{f"{side}scale": "log"})
    subs: tuple[float, ...] = (1.0,) if high > 300 * low else (1.0, 2.0, 5.0)
    if high < 4 * low:
        subs = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    ticks = axes.xaxis if side == "x" else axes.yaxis
    ticks.set_major_locator(LogLocator(subs=subs))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ticks.set_minor_formatter(NullFormatter())


def _name(axes: Axes, side: Side, places: Sequence[str]) -> None:
    """Names at 0, 1, ... along an axis."""
    ticks, ends = axes.xaxis if side == "x" else axes.yaxis, (-0.5, len(places) - 0.5)
    names = [wrapped(name, 14 if side == "x" else 30) if name.strip() else "" for name in places]
    crowded = side == "x" and len(places) > 6 and max(map(len, places)) > 8
    ticks.set_ticks(range(len(places)), names, rotation=45 if crowded else 0, parse_math=False)
    axes.set(**{f"{side}lim": ends if side == "x" else ends[::-1]})
    axes.tick_params(axis=side, length=0)
    axes.grid(visible=False, axis=side)
