"""What the bytes of a payload are: values, positions, scales, headers."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from fsim.figures.content import Content, FigureImpossible, byte_scale
from fsim.figures.series import COLORS, HATCHES, Part, looks, series_of
from fsim.records import details_of

MOST_BARS = 24
SHADES = (COLORS[1], COLORS[5], COLORS[6], "#F2F2F2", COLORS[3], COLORS[4], COLORS[2], COLORS[7])


@dataclass(frozen=True, kw_only=True)
class PayloadBreakdown(Content):
    """Sections of payloads.

    Attributes
    ----------
    means
        Mean size by series (rows) and section (columns), in the figure's unit.
    unit
        Of the sizes.
    """

    means: pd.DataFrame
    unit: str

    @property
    def sections(self) -> list[Part]:
        """The columns of ``means`` in its order."""
        return [
            Part(str(name), SHADES[at % len(SHADES)], HATCHES[at % len(HATCHES)])
            for at, name in enumerate(self.means)
        ]

    @property
    def axis(self) -> str:
        """What the sizes are."""
        return f"mean bytes of a payload ({self.unit}), as encoded, before any billing factor"


def payload_breakdown(records: pd.DataFrame, summary: pd.DataFrame) -> PayloadBreakdown:
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
    return PayloadBreakdown(
        heading="What the bytes of a payload are",
        summary=summary,
        most=MOST_BARS,
        means=means / factor,
        unit=unit,
    )


def section_means(records: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Mean bytes by series (rows) and section (columns), the largest section first."""
    telling = records[records["details"].str.contains('"payload"', regex=False)]
    told = [details_of(text).get("payload") for text in telling["details"]]
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
