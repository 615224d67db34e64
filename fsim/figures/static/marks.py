"""Marks, drawn on matplotlib's axes; a further kind of mark is registered with :func:`draw`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from fsim.figures.marks import Bars, Boxes, Cells, Line, Mark, Points, Span, whiskers
from fsim.figures.static.style import area, line, marker, point

MARKED = 12
"""Markers along a line, about, however many points it has."""

MOST_EDGED = 40
"""Bars whose edges do not take the ink of the bars themselves."""


@singledispatch
def draw(mark: Mark, axes: Axes) -> None:
    """Draw a mark."""
    raise TypeError(f"found a mark {type(mark).__name__}, which is not drawn by matplotlib")


@draw.register
def _line(mark: Line, axes: Axes) -> None:
    look = line(mark.look)
    if mark.thin:
        look |= {"linewidth": 0.8, "alpha": 0.7}
    elif mark.marked:
        look |= {"marker": marker(mark.look), "markersize": 4}
        look |= {"markevery": max(1, len(mark.x) // MARKED)}
    axes.plot(mark.x, mark.y, **look)
    if mark.band is not None:
        low, high = mark.band
        axes.fill_between(mark.x, low, high, color=mark.look.color, alpha=0.16, linewidth=0)


@draw.register
def _points(mark: Points, axes: Axes) -> None:
    look = point(mark.look, mark.hollow)
    if mark.x_bars is None and mark.y_bars is None:
        axes.plot(mark.x, mark.y, **look, zorder=3)
        return
    bars: dict[str, Any] = {"ecolor": mark.look.color, "elinewidth": 1.1, "capsize": 2.5}
    axes.errorbar(
        mark.x,
        mark.y,
        xerr=_bars(mark.x, mark.x_bars),
        yerr=_bars(mark.y, mark.y_bars),
        zorder=3,
        **bars,
        **look,
    )


def _bars(values: Any, span: Span | None) -> Any:
    return None if span is None else whiskers(values, span)


@draw.register
def _stacked(mark: Bars, axes: Axes) -> None:
    look = area(mark.look, 0.5 if len(mark.places) <= MOST_EDGED else 0.1)
    if mark.upright:
        axes.bar(mark.places, mark.sizes, mark.thickness, bottom=mark.starts, **look)
    else:
        axes.barh(mark.places, mark.sizes, mark.thickness, left=mark.starts, **look)
    axes.grid(visible=False, axis="x" if mark.upright else "y")
    axes.set_axisbelow(True)


@draw.register
def _boxes(mark: Boxes, axes: Axes) -> None:
    color = mark.look.color
    axes.bxp(
        [
            {"q1": box.q1, "med": box.median, "q3": box.q3, "whislo": box.p5, "whishi": box.p95}
            for box in mark.boxes
        ],
        positions=mark.places,
        widths=mark.thickness,
        orientation="horizontal",
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops=area(mark.look),
        medianprops={"color": "#000000", "linewidth": 1.6},
        whiskerprops={"color": color},
        capprops={"color": color},
    )
    largest = [box.largest for box in mark.boxes]
    axes.plot(largest, mark.places, marker="x", color=color, markersize=4.5, linestyle="none")


@draw.register
def _cells(mark: Cells, axes: Axes) -> None:
    scale = np.log if mark.log else np.asarray
    # Cividis runs from dark to light in grey and to the colour-blind alike.
    norm = "log" if mark.log else "linear"
    image = axes.imshow(mark.numbers, cmap=mpl.colormaps["cividis"], aspect="auto", norm=norm)
    finite = mark.finite
    middle = float(scale([finite.min(), finite.max()]).mean()) if len(finite) else 0.0
    for row, column in np.ndindex(mark.numbers.shape):
        value = float(mark.numbers[row, column])
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9}
        if np.isnan(value):
            _hatch(axes, row, column)
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            axes.text(column, row, mark.empty[row][column], bbox=box, **look)
        else:
            color = "white" if scale(value) < middle else "black"
            axes.text(column, row, f"{value:.3g}", color=color, **look)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(finite) and axes.figure is not None:
        axes.figure.colorbar(image, ax=axes, label=mark.label, pad=0.02, format="{x:g}")


def _hatch(axes: Axes, row: int, column: int) -> None:
    look: dict[str, Any] = {"facecolor": "white", "edgecolor": "#BBBBBB", "hatch": "///"}
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **look))


def handle(marks: Sequence[Mark]) -> Patch | Line2D:
    """The legend's entry for the marks of a name."""
    first = marks[0]
    if isinstance(first, (Bars, Boxes)):
        return Patch(**area(first.look))
    if isinstance(first, Points):
        return Line2D([], [], **point(first.look, first.hollow))
    look = line(first.look)
    if any(isinstance(mark, Points) or (isinstance(mark, Line) and mark.marked) for mark in marks):
        look |= {"marker": marker(first.look), "markersize": 5}
    return Line2D([], [], **look)
