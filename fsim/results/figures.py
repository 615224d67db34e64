"""Figures, drawn from the tables of runs. Each function returns a matplotlib ``Figure``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from fsim.results.output import SavedRun

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


def accuracy_over_time(runs: Sequence[SavedRun]) -> Figure:
    """Accuracy over simulated seconds, a line a run, the target and when each reached it."""
    return _accuracy_figure(runs, "time_s", _time_scale)


def accuracy_over_uplink(runs: Sequence[SavedRun]) -> Figure:
    """Accuracy over the bytes that all clients together have uploaded, on a logarithmic axis."""
    return _accuracy_figure(runs, "uplink_bytes", _byte_scale)


FIGURES: dict[str, Callable[[Sequence[SavedRun]], Figure]] = {
    "accuracy_over_time": accuracy_over_time,
    "accuracy_over_uplink": accuracy_over_uplink,
}
"""Name -> the function that draws it."""


def save_figures(runs: Sequence[SavedRun], folder: Path) -> list[Path]:
    """Draw every figure as PNG and SVG, and return the paths."""
    paths = []
    for name, draw in FIGURES.items():
        figure = draw(runs)
        for suffix in ("png", "svg"):
            path = folder / f"{name}.{suffix}"
            # No date in the file: the same run draws the same bytes.
            metadata = {"Date": None} if suffix == "svg" else None
            with mpl.rc_context(STYLE):
                figure.savefig(path, dpi=150, metadata=metadata)
            paths.append(path)
    return paths


def _accuracy_figure(
    runs: Sequence[SavedRun], column: str, scale: Callable[[Axes, float], float]
) -> Figure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained")
        axes: Axes = figure.add_subplot()
        factor = scale(axes, max(run.evaluations[column].max() for run in runs))
        for at, run in enumerate(runs):
            # Before the first round nothing was sent: no place for it on a logarithmic axis.
            rows = run.evaluations[run.evaluations[column] > 0]
            if column == "time_s":
                rows = run.evaluations
            color = COLORS[at % len(COLORS)]
            axes.plot(
                rows[column] / factor,
                100 * rows["accuracy"],
                color=color,
                linestyle=DASHES[at % len(DASHES)],
                linewidth=1.6,
                label=run.label,
            )
            reached = rows[rows["accuracy"] >= run.summary["target"]]
            if len(reached):
                axes.plot(
                    reached[column].iloc[:1] / factor,
                    100 * reached["accuracy"].iloc[:1],
                    marker=MARKERS[at % len(MARKERS)],
                    color=color,
                    markersize=8,
                    markeredgecolor="white",
                    zorder=3,
                )
        target = 100 * runs[0].summary["target"]
        axes.axhline(target, color="#777777", linewidth=1, linestyle=(0, (1, 2)))
        axes.annotate(
            f"target {target:g}%",
            (1, target),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            color="#555555",
            fontsize=9,
        )
        axes.set_ylabel("held-out accuracy (%)")
        axes.set_ylim(bottom=0)
        axes.set_title(f"{runs[0].summary['name']}: {runs[0].summary['task']}", loc="left")
        axes.legend(loc="lower right", title="policy (marker: target reached)", fontsize=9)
        return figure


def _time_scale(axes: Axes, longest: float) -> float:
    units = ((3600.0, "h"), (60.0, "min"))
    factor, unit = next(((f, u) for f, u in units if longest > 3 * f), (1.0, "s"))
    axes.set_xlabel(f"simulated time ({unit})")
    return factor


def _byte_scale(axes: Axes, largest: float) -> float:
    units = ((1e9, "GB"), (1e6, "MB"))
    factor, unit = next(((f, u) for f, u in units if largest > 2 * f), (1e3, "kB"))
    if largest > 0:
        axes.set_xscale("log")
    axes.set_xlabel(f"uplink of all clients together ({unit})")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return factor
