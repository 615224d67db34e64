"""A figure of capacity over time, and of how often there is how much."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fsim.figures.series import COLORS
from fsim.figures.static.style import STYLE

Floats = npt.NDArray[np.float64]
Staircase = tuple[Floats, Floats, float]

MBIT = 1e6 / 8
"""Bytes/s of 1 Mbit/s."""

OUTAGE = 1.0
"""Seconds at zero that are marked, if longer."""

MOST_STEPS = 2000
"""Steps that are drawn across a panel; a screen shows no more."""

OUTAGE_COLOR = "#D55E00"


def trace_figure(traces: Mapping[str, Staircase]) -> Figure:
    """For each trace a panel of its rate over time, and beside it the distribution of its rates.

    Traces are not drawn over each other, because two that vary as radio links do hide one another.
    Each has its own axes, for durations and rates can differ a hundredfold. Where a trace has more
    steps than can be seen, each column is the mean over its time. A bar along the bottom marks
    outages of more than 1 s. The distribution is that of the mean rates of whole seconds, whose
    percentiles ``fsim trace info`` tells.

    Parameters
    ----------
    traces
        Name -> start times (s), rates (bytes/s) and duration (s).
    """
    with mpl.rc_context(STYLE):
        count = len(traces)
        # 1.8 inch a panel while there is room, and never much taller than a page.
        figure = Figure(figsize=(9, min(0.9 + 1.8 * count, 14)), layout="constrained")
        axes = figure.subplots(count, 2, sharey="row", width_ratios=(3.4, 1), squeeze=False)
        for (name, trace), (first, second) in zip(traces.items(), axes, strict=True):
            edges, rates = drawn_steps(trace)
            first.stairs(rates / MBIT, edges, color=COLORS[1], linewidth=0.8, baseline=None)
            first.stairs(rates / MBIT, edges, color=COLORS[1], alpha=0.18, fill=True)
            bars = [(begin, end - begin) for begin, end in outages(trace)]
            # In shares of the panel's height, whatever the range of rates.
            first.broken_barh(
                bars,
                (0, 0.05),
                color=OUTAGE_COLOR,
                linewidth=0,
                transform=first.get_xaxis_transform(),
                zorder=3,
            )
            whole = np.arange(max(int(trace[2] + 1e-9), 1) + 1.0)
            seconds = np.sort(mean_rates(trace, np.minimum(whole, trace[2]))) / MBIT
            shares = np.arange(len(seconds) + 1) / len(seconds)
            second.stairs(seconds, shares, color=COLORS[1], linewidth=1.4, baseline=None)
            mean = float(mean_rates(trace, np.array([0, trace[2]]))[0]) / MBIT
            for panel in (first, second):
                panel.axhline(mean, color="#555555", linewidth=0.9, linestyle=(0, (4, 2)))
            first.set_ylim(bottom=0)
            first.set_xlim(0, trace[2])
            second.set_xlim(0, 1)
            second.xaxis.set_major_formatter(PercentFormatter(1))
            second.set_xticks([0, 0.5, 1])
            first.set_ylabel("Mbit/s")
            title = f"{name}: mean {mean:.3g} Mbit/s"
            if bars:
                title += f", outages {len(bars)}, longest {max(length for _, length in bars):.3g} s"
            first.set_title(title, loc="left", fontsize=10, parse_math=False)
        axes[-1, 0].set_xlabel("time (s); dashed: mean; bar at the bottom: outage of over 1 s")
        axes[-1, 1].set_xlabel("share of seconds below")
        return figure


def drawn_steps(
    trace: Staircase,
) -> tuple[Floats, Floats]:
    """Edges (s), shape (n + 1,), and rates (bytes/s) to draw: at most :data:`MOST_STEPS`."""
    starts, rates, duration = trace
    if len(rates) <= MOST_STEPS:
        return np.append(starts, duration), rates
    grid = np.linspace(0, duration, MOST_STEPS + 1)
    return grid, mean_rates(trace, grid)


def mean_rates(trace: Staircase, grid: Floats) -> Floats:
    """Mean rates (bytes/s) between neighbouring times (s) of a grid, shape (len(grid) - 1,)."""
    starts, rates, duration = trace
    edges = np.append(starts, duration)
    delivered = np.append(0.0, np.cumsum(np.diff(edges) * rates))
    means: Floats = np.diff(np.interp(grid, edges, delivered)) / np.diff(grid)
    return means


def outages(trace: Staircase, longer_than: float = OUTAGE) -> list[tuple[float, float]]:
    """Begin and end (s) of each stretch at zero that lasts longer than some seconds."""
    starts, rates, duration = trace
    zero = np.concatenate([[False], rates == 0, [False]])
    edges = np.append(starts, duration)
    begins = edges[np.flatnonzero(~zero[:-1] & zero[1:])]
    ends = edges[np.flatnonzero(zero[:-1] & ~zero[1:])]
    return [
        (float(begin), float(end))
        for begin, end in zip(begins, ends, strict=True)
        if end - begin > longer_than
    ]
