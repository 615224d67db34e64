"""The one style of all figures, and what they all have to say: units, billing, what was left out.

Every figure can be read in grey and by the colour-blind: what is told apart by colour is told apart
by dashes, markers or hatches too.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from fsim.errors import OutputError

# Okabe and Ito's palette, told apart by the colour-blind; dashes and markers serve print in grey.
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1)),
    (0, (3, 1, 1, 1)),
)
MARKERS = "osD^vPX*"
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

MOST_SERIES = 12
"""Lines of one panel at most: more are not told apart."""

PARTS = {
    "wait_s": ("waiting until available", "#FFFFFF", "..."),
    "download_s": ("download", "#A6D5F2", "///"),
    "compute_s": ("compute", "#E69F00", ""),
    "upload_s": ("upload", "#0B5A91", ""),
    "silent_s": ("lost: until given up", "#FFFFFF", "xxx"),
}
"""What a client's round consists of -> its name, colour and hatch."""


class FigureImpossible(OutputError):
    """The data does not hold what a figure shows."""


@dataclass(frozen=True)
class Look:
    """How one series is drawn in every panel.

    Attributes
    ----------
    color, dash, marker
        Each tells it from its neighbours.
    group
        The ``gid`` of what is drawn of it, by which a report shows and hides it.
    """

    color: str
    dash: str | tuple[int, tuple[int, ...]]
    marker: str
    group: str = ""

    @property
    def line(self) -> dict[str, Any]:
        """Arguments of a line."""
        return {
            "color": self.color,
            "linestyle": self.dash,
            "linewidth": 1.6,
            "gid": self.group,
        }

    @property
    def point(self) -> dict[str, Any]:
        """Arguments of a marker."""
        return {
            "color": self.color,
            "marker": self.marker,
            "markersize": 7,
            "markeredgecolor": "white",
            "linestyle": "none",
            "gid": self.group,
        }


def look(at: int) -> Look:
    """The look of the series with that number, from 0."""
    return Look(
        COLORS[at % len(COLORS)],
        DASHES[at % len(DASHES)],
        MARKERS[at % len(MARKERS)],
        f"series-{at}",
    )


def looks(summary: pd.DataFrame, most: int = MOST_SERIES) -> dict[str, Look]:
    """The series that are drawn, in the order of the summary, and their looks.

    Of more than ``most``, those soonest at the target, and then the most accurate.
    """
    names = series_of(summary)
    order = list(dict.fromkeys(names))
    if len(order) > most:
        best = (
            summary.assign(_series=names)
            .groupby("_series")[["time_to_target_s", "final_accuracy"]]
            .mean()
            .sort_values(["time_to_target_s", "final_accuracy"], ascending=[True, False])
        )
        kept = set(best.index[:most])
        order = [name for name in order if name in kept]
    return {name: look(at) for at, name in enumerate(order)}


def series_of(summary: pd.DataFrame) -> pd.Series:
    """The series of each run: the column of that name where there is one, else the policy."""
    return (summary["series"] if "series" in summary else summary["policy"]).astype(str)


def by_series(table: pd.DataFrame, summary: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of a table by the series of their runs, for the series that are drawn."""
    names = dict(zip(summary["run"], series_of(summary), strict=True))
    series = table["run"].map(names).astype(str)
    return {name: table[series == name] for name in dict.fromkeys(names.values())}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return Figure(figsize=(width, height), layout="constrained")


def finish(
    figure: Figure,
    heading: str,
    summary: pd.DataFrame,
    notes: Sequence[str] = (),
    most: int = MOST_SERIES,
) -> Figure:
    """Write what the figure shows above it, and below it what has to be known of it.

    Parameters
    ----------
    figure, heading
        The figure, and what it shows.
    summary
        The runs that it shows.
    notes
        Sentences without a full stop.
    most
        Series that the figure shows at most.
    """
    names = " and ".join(dict.fromkeys(summary["name"].astype(str)[:3]))
    billed = billing_note(summary)
    lines = [heading, f"{names}, {', '.join(dict.fromkeys(summary['task'].astype(str)))}"]
    if billed:
        lines.append(billed)
    # Nine characters an inch, less the legend's two inches.
    room = int(9 * figure.get_size_inches()[0])
    figure.suptitle(
        "\n".join(wrapped(line, room) for line in lines),
        x=0.01,
        ha="left",
        fontsize=10.5,
        parse_math=False,
    )
    told = list(notes)
    count = series_of(summary).nunique()
    if count > most:
        told.append(f"the {most} best of {count} series, by time to target and final accuracy")
    if told:
        text = textwrap.fill("; ".join(told), int(13 * figure.get_size_inches()[0]))
        figure.supxlabel(text, x=0.01, ha="left", fontsize=8.5, color="#444444", parse_math=False)
    return figure


def billing_note(summary: pd.DataFrame) -> str:
    """What a small model is billed as: ``bytes billed ×488, compute ×4900``; empty where nothing.

    A run says so in its facts; see ``billing`` in the scenario.
    """
    told = []
    for column, what in (
        ("billed_bytes_factor", "bytes billed"),
        ("billed_operations_factor", "compute billed"),
    ):
        if column in summary:
            low, high = summary[column].fillna(1.0).min(), summary[column].fillna(1.0).max()
            if (low, high) != (1, 1):
                span = (
                    f"×{low:.4g}" if f"{low:.4g}" == f"{high:.4g}" else f"×{low:.4g} to ×{high:.4g}"
                )
                told.append(f"{what} {span}")
    return ", ".join(told)


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
        Line2D([], [], **own.line, marker=own.marker, markersize=markersize)
        for own in series.values()
    ]
    legend(figure, handles, list(series), title)


def wrapped(name: str, width: int) -> str:
    """A name on several lines if it is long, broken after spaces, colons, commas and the like."""
    lines = [""]
    for part in re.split(r"(?<=[ :,/-])", name):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    broken = [piece for line in lines for piece in textwrap.wrap(line, width)]
    return "\n".join(broken) or "(empty)"


def time_scale(longest: float) -> tuple[float, str]:
    """Seconds of the unit in which such a time is written, and the unit."""
    units = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"))
    return next(((f, u) for f, u in units if longest > 3 * f), (1.0, "s"))


def byte_scale(largest: float) -> tuple[float, str]:
    """Bytes of the unit in which such a size is written, and the unit."""
    units = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    return next(((f, u) for f, u in units if largest > 2 * f), (1.0, "B"))


def logarithmic(axes: Axes, low: float, high: float) -> None:
    """A logarithmic horizontal axis with plain numbers, a few of them whatever the range."""
    axes.set_xscale("log")
    subs: tuple[float, ...] = (1.0,) if high > 300 * low else (1.0, 2.0, 5.0)
    if high < 4 * low:
        subs = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def spread(values: pd.Series) -> list[list[float]]:
    """How far the minimum and the maximum are from the mean, for an error bar."""
    mean = float(values.mean())
    # The mean of equal numbers may differ from them by a rounding.
    return [[max(mean - float(values.min()), 0.0)], [max(float(values.max()) - mean, 0.0)]]


def whole_rounds(axes: Axes) -> None:
    """A horizontal axis of rounds: whole numbers."""
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))


styled = mpl.rc_context(STYLE)
"""Decorator: the function draws in the style."""
