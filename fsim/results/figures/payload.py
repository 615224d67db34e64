"""What the bytes of a payload are: values, positions, scales, headers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fsim.results.figures.style import (
    COLORS,
    FigureImpossible,
    byte_scale,
    finish,
    legend,
    looks,
    new_figure,
    series_of,
    styled,
    wrapped,
)

MOST_BARS = 24
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo", "---")
SHADES = (COLORS[1], COLORS[5], COLORS[6], "#F2F2F2", COLORS[3], COLORS[4], COLORS[2], COLORS[7])


@styled
def payload_breakdown(records: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """A bar a series: the mean bytes of each section of its payloads.

    Parameters
    ----------
    records, summary
        As :func:`fsim.load` gives them; sections are read from ``payload`` in a record's details.

    Raises
    ------
    FigureImpossible
        No record tells of its payload's sections.
    """
    means = section_means(records, summary)
    series = [name for name in looks(summary, MOST_BARS) if name in means.index]
    means = means.loc[series]
    factor, unit = byte_scale(means.sum(axis=1).max())
    names = [wrapped(name, 30) for name in means.index]
    lines = max(name.count("\n") + 1 for name in names)
    figure = new_figure(8.6, 1.9 + max(0.38, 0.19 * lines) * len(means))
    axes = figure.add_subplot()
    left = np.zeros(len(means))
    handles = []
    for at, section in enumerate(means):
        style: dict[str, Any] = {
            "facecolor": SHADES[at % len(SHADES)],
            "hatch": HATCHES[at % len(HATCHES)],
            "edgecolor": "#333333",
            "linewidth": 0.5,
        }
        widths = means[section].to_numpy() / factor
        axes.barh(range(len(means)), widths, left=left, height=0.7, **style)
        left += widths
        handles.append(Patch(**style))
    for at, width in enumerate(left):
        axes.annotate(
            f"{width:.4g}",
            (width, at),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_xlim(0, left.max() * 1.1)
    axes.set_yticks(range(len(means)), names)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel(f"mean bytes of a payload ({unit}), as encoded, before any billing factor")
    legend(figure, handles, [str(section) for section in means], "section")
    return finish(figure, "What the bytes of a payload are", summary, most=MOST_BARS)


def section_means(records: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Mean bytes by series (rows) and section (columns), the largest section first."""
    telling = records[records["details"].str.contains('"payload"', regex=False)]
    told = [json.loads(text).get("payload") for text in telling["details"]]
    names = dict(zip(summary["run"], series_of(summary), strict=True))
    rows = [
        {"series": names[run], **sections}
        for run, sections in zip(telling["run"], told, strict=True)
        if isinstance(sections, dict)
    ]
    if not rows:
        raise FigureImpossible(
            "found no record whose details tell of a payload's sections under 'payload'"
        )
    # A section that a payload does not have is one of no bytes.
    means = pd.DataFrame(rows).fillna(0.0).groupby("series", sort=False).mean()
    return means[means.sum().sort_values(ascending=False, kind="stable").index]
