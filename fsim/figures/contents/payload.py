"""The bytes of a payload by kind: values, positions, scales, headers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fsim.figures.content import Axis, Content, FigureImpossible, Panel
from fsim.figures.marks import Bars, Mark
from fsim.figures.series import COLORS, HATCHES, Look, looks, series_of
from fsim.figures.wording import byte_scale, wrapped
from fsim.records import details_of

MOST_BARS = 24
SHADES = (COLORS[1], COLORS[5], COLORS[6], "#F2F2F2", COLORS[3], COLORS[4], COLORS[2], COLORS[7])
EDGE = "#333333"


def payload_breakdown(records: pd.DataFrame, summary: pd.DataFrame) -> Content:
    """The mean bytes of each section of the payloads of a series.

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
    means = means.loc[[name for name in looks(summary, MOST_BARS) if name in means.index]]
    factor, unit = byte_scale(means.sum(axis=1).max())
    marks: list[Mark] = []
    starts = np.zeros(len(means))
    for at, section in enumerate(means):
        sizes = means[section].to_numpy() / factor
        fill, hatch = SHADES[at % len(SHADES)], HATCHES[at % len(HATCHES)]
        marks.append(
            Bars(
                name=str(section),
                look=Look(EDGE, hatch=hatch, fill=fill),
                places=np.arange(len(means)),
                sizes=sizes,
                starts=starts,
            )
        )
        starts = starts + sizes
    names = [str(name) for name in means.index]
    lines = max(wrapped(name, 30).count("\n") + 1 for name in names)
    return Content(
        heading="What the bytes of a payload are",
        summary=summary,
        most=MOST_BARS,
        legend="section",
        height=0.5 + max(0.38, 0.19 * lines) * len(means),
        width=9.2,
        panels=[
            Panel(
                x=Axis(
                    label="mean bytes of a payload, as encoded, before any billing factor",
                    unit=unit,
                    span=(0, 1.1 * float(starts.max())),
                ),
                y=Axis(label="", places=names),
                marks=marks,
                totals=True,
            )
        ],
    )


def section_means(records: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Mean bytes by series (rows) and section (columns), the largest section first."""
    telling = records[records["details"].str.contains('"payload"', regex=False)]
    payloads = [details_of(text).get("payload") for text in telling["details"]]
    names = dict(zip(summary["run"], series_of(summary), strict=True))
    rows = [
        {"series": names[run], **sections}
        for run, sections in zip(telling["run"], payloads, strict=True)
        if isinstance(sections, dict)
    ]
    if not rows:
        raise FigureImpossible(
            "found no record whose details tell of a payload's sections under 'payload'"
        )
    # A section that a payload does not have is one of no bytes.
    means = pd.DataFrame(rows).fillna(0.0).groupby("series", sort=False).mean()
    return means[means.sum().sort_values(ascending=False, kind="stable").index]
