"""How unequal clients' rounds are, in which part, and who keeps the others waiting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fsim.figures.series import Look
from fsim.figures.static_style import finish, legend, logarithmic, new_figure, styled
from fsim.figures.stragglers import content as contents


@styled
def stragglers(records: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Durations of clients' rounds by part, as boxes, and how often each client was last.

    A box spans the quartiles, its line the median, whiskers the 5th and 95th percentile, the cross
    the maximum. Parts that did not occur (no waiting, none lost) are left out, per client's round.

    Parameters
    ----------
    records, summary
        As :func:`fsim.load` gives them.

    Raises
    ------
    FigureImpossible
        No client ended a round.
    """
    content = contents.stragglers(records, summary)
    rows = len(content.parts) * (len(content.series) + 1)
    figure = new_figure(9.6, max(3.6, 1.6 + 0.17 * rows))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_boxes(left, content)
    _draw_last(right, content)
    handles = [Patch(**_area(look)) for look in content.series.values()]
    legend(figure, handles, list(content.series), "policy")
    return finish(figure, content)


def _draw_boxes(axes: Axes, content: contents.Stragglers) -> None:
    parts = list(content.parts)
    for (part, name), box in content.boxes.items():
        look, place = content.series[name], content.place(part, name)
        told = {"q1": box.q1, "med": box.median, "q3": box.q3, "whislo": box.p5, "whishi": box.p95}
        axes.bxp(
            [told],
            positions=[place],
            widths=content.step * 0.8,
            orientation="horizontal",
            showfliers=False,
            patch_artist=True,
            manage_ticks=False,
            boxprops=_area(look),
            medianprops={"color": "#000000", "linewidth": 1.6},
            whiskerprops={"color": look.color},
            capprops={"color": look.color},
        )
        axes.plot(box.largest, place, marker="x", color=look.color, markersize=4.5)
    low, high = content.span
    logarithmic(axes, low, high)
    axes.set_xlim(low / 1.3, high * 1.3)
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.set_yticks(range(len(parts)), [contents.SHOWN[part] for part in parts])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("simulated seconds of a client's round")
    axes.set_title("how long, by part", loc="left", fontsize=10)


def _draw_last(axes: Axes, content: contents.Stragglers) -> None:
    shares, count = content.last, len(content.series)
    height = 0.84 / count
    for at, (name, look) in enumerate(content.series.items()):
        places = np.arange(len(shares)) + (at - (count - 1) / 2) * height
        axes.barh(places, shares[name], height=height, linewidth=0.7, **_area(look))
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.set_yticks(range(len(shares)), [f"client {client}" for client in shares.index])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel("rounds in which it was last (%)")
    axes.set_title("who came last", loc="left", fontsize=10)


def _area(look: Look) -> dict[str, Any]:
    return {"facecolor": look.tint, "edgecolor": look.color, "hatch": 4 * look.hatch}
