"""A figure of who holds what: each client's examples, by label."""

from __future__ import annotations

import textwrap
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from fsim.figures.series import COLORS
from fsim.figures.static.style import STYLE

LABEL_COLORS = (*COLORS[1:7], "#F2CFB2", COLORS[0], "#F0E442", "#6A2F00")
"""The house's colours, then Okabe and Ito's yellow and two shades of vermilion: of all shades tried
those that stay furthest from the others to the colour-blind. The closest two are not neighbours."""

OTHER_COLOR = "#CCCCCC"
"""Lighter than the house's grey, which a deuteranope cannot tell from its purple."""


def partition_figure(counts: pd.DataFrame) -> Figure:
    """For each client a bar of its labels' shares, and beside it one of how many examples it has.

    The ten commonest labels have a colour each, the commonest first; the others are drawn together.
    Shares, because where sizes differ a hundredfold the small clients' labels would not be seen.

    Parameters
    ----------
    counts
        Examples by client (rows, drawn from the top) and label (columns).
    """
    groups = _grouped(counts)
    clients, sizes = len(groups), groups.sum(axis=1)
    shares = groups.div(sizes.where(sizes > 0, 1), axis=0)
    bars: dict[str, Any] = {"height": 0.82, "edgecolor": "white", "linewidth": 0.4}
    if clients > 50:
        # Gaps would take the ink of thin bars.
        bars = {"height": 1.0, "edgecolor": "white", "linewidth": 0.2 if clients <= 150 else 0}
    with mpl.rc_context(STYLE):
        # 0.22 inch a bar while there is room, and never taller than a page.
        figure = Figure(figsize=(9, min(max(1.2 + 0.22 * clients, 3.4), 9.5)), layout="constrained")
        first, second = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        bottom = pd.Series(0.0, index=groups.index)
        for label, color in zip(groups, (*LABEL_COLORS, OTHER_COLOR), strict=False):
            first.barh(range(clients), shares[label], left=bottom, color=color, **bars)
            bottom += shares[label]
        second.barh(range(clients), sizes, color="#777777", **bars)
        first.set_xlim(0, 1)
        first.xaxis.set_major_formatter(PercentFormatter(1))
        first.set_xlabel("share of a client's examples")
        first.set_ylabel("client")
        first.set_ylim(clients - 0.5, -0.5)
        first.yaxis.set_major_locator(MaxNLocator(20, integer=True, min_n_ticks=1))
        first.yaxis.set_major_formatter(FuncFormatter(lambda at, _: _client(groups, at)))
        first.grid(visible=False)
        second.set_xlabel("examples")
        second.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        second.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        second.grid(visible=False, axis="y")
        second.set_axisbelow(True)
        second.tick_params(axis="y", length=0)
        labels = int((counts.sum(axis=0) > 0).sum())
        first.set_title(
            f"{int(sizes.sum()):,} examples, {labels} labels, {clients} clients", loc="left"
        )
        legend = figure.legend(
            [Patch(color=color) for color in (*LABEL_COLORS, OTHER_COLOR)][: groups.shape[1]],
            [f"label {at}" for at in range(groups.shape[1])],
            loc="outside right upper",
            title="label",
            fontsize=9,
            alignment="left",
        )
        # Set afterwards, and not as formulas: matplotlib has a meaning of its own for labels with
        # a leading underscore or with dollar signs.
        for text, label in zip(legend.get_texts(), groups, strict=True):
            text.set_parse_math(False)
            text.set_text(textwrap.fill(str(label), 26) or "(empty)")
        return figure


def _client(groups: pd.DataFrame, at: float) -> str:
    row = round(at)
    return str(groups.index[row]) if 0 <= row < len(groups) else ""


def _grouped(counts: pd.DataFrame) -> pd.DataFrame:
    """The labels that occur in order of frequency, the rare ones summed in a last column."""
    totals = counts.sum(axis=0).sort_values(ascending=False, kind="stable")
    ordered = counts[list(totals.index[totals > 0])]
    most = len(LABEL_COLORS)
    # A group of one would hide a name and save nothing.
    if ordered.shape[1] <= most + 1:
        return ordered
    rare = ordered.iloc[:, most:]
    return ordered.iloc[:, :most].assign(**{f"other ({rare.shape[1]} labels)": rare.sum(axis=1)})
