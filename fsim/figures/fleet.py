"""A figure of a population: how fast its uplinks are, and when its clients are available."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from fsim.figures.series import COLORS
from fsim.figures.static.style import DASHES, MARKERS, STYLE

POINTS = 400
"""Steps of a curve at most: more are not seen."""


def fleet_figure(
    uplink: Mapping[str, Sequence[float]], available: Sequence[float], sample: int
) -> Figure:
    """Shares of the clients below each uplink rate, by device, and available at each hour.

    Parameters
    ----------
    uplink
        Device -> mean uplink rate of each of its clients, Mbit/s, positive; drawn in this order.
    available
        Share of the clients that are available at the hours 0, 1, ..., 24 of a day.
    sample
        How many clients ``available`` is of.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 4.4), layout="constrained")
        first, second = figure.subplots(1, 2, sharey=True)
        _draw_rates(first, uplink)
        _draw_hours(second, available)
        first.set_title("mean uplink rate by device", loc="left")
        second.set_title(f"available clients, of {sample:,}, on the first day", loc="left")
        figure.legend(
            title="device (clients)",
            loc="outside lower left",
            ncols=3,
            fontsize=9,
            title_fontsize=9,
            alignment="left",
        )
        return figure


def _draw_rates(axes: Axes, uplink: Mapping[str, Sequence[float]]) -> None:
    """A cumulative distribution a device, told apart by dashes and markers as well as by colour."""
    for at, (device, rates) in enumerate(uplink.items()):
        steps, shares = distribution(rates)
        axes.step(
            steps,
            shares,
            where="post",
            color=COLORS[at % len(COLORS)],
            linestyle=DASHES[at % len(DASHES)],
            linewidth=1.6,
            marker=MARKERS[at % len(MARKERS)],
            # Apart on neighbouring curves, which often lie on one another.
            markevery=(0.04 + 0.05 * (at % 4), 0.2),
            markersize=5,
            label=f"{device} ({len(rates):,})",
        )
    axes.set_xscale("log")
    low = min(min(rates) for rates in uplink.values())
    high = max(max(rates) for rates in uplink.values())
    axes.set_xlim(low / 1.6, high * 1.6)
    # Decades alone leave a narrow range of rates without two numbers on its axis.
    subs = (1.0,) if high > 1000 * low else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Mbit/s")
    axes.set_ylabel("share with this rate or less")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(-0.02, 1.04)


def distribution(
    values: Sequence[float],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The corners of the staircase of shares at or below each value, :data:`POINTS` at most."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)
    ranks = np.unique(np.linspace(1, count, min(count, POINTS)).round().astype(np.int64))
    steps = np.concatenate((ordered[:1], ordered[ranks - 1]))
    return steps, np.concatenate(([0.0], ranks / count))


def _draw_hours(axes: Axes, available: Sequence[float]) -> None:
    hours = np.arange(len(available))
    axes.fill_between(hours, available, color="#BBBBBB", alpha=0.5, linewidth=0)
    axes.plot(hours, available, color=COLORS[0], linewidth=1.6, marker=MARKERS[0], markersize=3.5)
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3))
    axes.set_xlabel("hour of simulated time (0: midnight UTC)")
