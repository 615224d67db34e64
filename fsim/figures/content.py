"""Contents: a figure as panels of marks, which any renderer can draw, and what is written of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fsim.core.errors import OutputError
from fsim.figures.marks import Bars, Mark
from fsim.figures.series import MOST_SERIES, series_of


class FigureImpossible(OutputError):
    """The data does not hold what a figure shows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """An axis; panels that have the same one run alike, and are zoomed together.

    Attributes
    ----------
    label, unit
        What it is of.
    log
        Whether it is logarithmic.
    span
        Least and largest value of the marks on a logarithmic axis, the limits of a linear one; None
        for what the marks need.
    floor
        Where it begins; None for where the marks do.
    whole
        Whether only whole numbers stand along it.
    numbers
        Those along it; none for a choice by the renderer.
    places
        Names along it at 0, 1, ...; downwards on a vertical axis.
    """

    label: str
    unit: str = ""
    log: bool = False
    span: tuple[float, float] | None = None
    floor: float | None = None
    whole: bool = False
    numbers: Sequence[float] = ()
    places: Sequence[str] = ()

    @property
    def title(self) -> str:
        """The label with its unit."""
        return f"{self.label} ({self.unit})" if self.label and self.unit else self.label + self.unit


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """A panel; one without marks says that it shows no series.

    Attributes
    ----------
    marks
        From back to front.
    x, y
        The axes.
    title
        Written above it.
    targets
        Heights of dotted lines across it.
    totals
        Whether the length of lying bars together is written at their end.
    share
        Of the figure's width, relative to other columns'.
    """

    marks: Sequence[Mark]
    x: Axis
    y: Axis
    title: str = ""
    targets: Sequence[float] = ()
    totals: bool = False
    share: float = 1

    @property
    def ends(self) -> list[tuple[float, float]]:
        """The places at which totals are written: place and length of each stack."""
        bars = [mark for mark in self.marks if isinstance(mark, Bars)]
        if not (self.totals and bars):
            return []
        return list(zip(bars[-1].places, bars[-1].starts + bars[-1].sizes, strict=True))


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of a figure.

    Attributes
    ----------
    heading
        What it is of.
    summary
        The runs that it shows.
    panels
        Row by row.
    columns
        Panels in a row.
    height
        Of a row in print, inches.
    width
        Of the whole in print, inches; None for one by the number of columns.
    legend
        What the names in the legend are of.
    notes
        What has to be known of it: sentences without a full stop.
    most
        Series that it shows at most.
    """

    heading: str
    summary: pd.DataFrame
    panels: Sequence[Panel]
    columns: int = 1
    height: float = 3.2
    width: float | None = None
    legend: str = "policy"
    notes: Sequence[str] = ()
    most: int = MOST_SERIES

    @property
    def inches(self) -> float:
        """The width in print."""
        usual = 8.6 if self.columns == 1 else max(9.2, 2 + 2.6 * self.columns)
        return usual if self.width is None else self.width

    @property
    def rows(self) -> int:
        """Rows of panels."""
        return -(-len(self.panels) // self.columns)

    @property
    def entries(self) -> dict[str, list[Mark]]:
        """Names in the legend, and the marks of each; of upright stacks from the top."""
        entries: dict[str, list[Mark]] = {}
        for mark in (mark for panel in self.panels for mark in panel.marks):
            if mark.name:
                entries.setdefault(mark.name, []).append(mark)
        return dict(reversed(entries.items())) if self.upright else entries

    @property
    def upright(self) -> bool:
        """True if it has upright bars."""
        marks = (mark for panel in self.panels for mark in panel.marks)
        return any(isinstance(mark, Bars) and mark.upright for mark in marks)

    def labels(self, at: int) -> tuple[bool, bool]:
        """Tell whether a panel's axes have titles and numbers, which neighbours may share."""
        panel, below = self.panels[at], at + self.columns
        return (
            below >= len(self.panels) or self.panels[below].x is not panel.x,
            at % self.columns == 0 or self.panels[at - 1].y is not panel.y,
        )

    @property
    def subject(self) -> str:
        """Names of the scenarios, and the tasks."""
        names = " and ".join(dict.fromkeys(self.summary["name"].astype(str)[:3]))
        return f"{names}, {', '.join(dict.fromkeys(self.summary['task'].astype(str)))}"

    @property
    def remarks(self) -> list[str]:
        """The notes, and which series are shown where not all are."""
        count = series_of(self.summary).nunique()
        if count <= self.most:
            return list(self.notes)
        best = f"the {self.most} best of {count} series, by time to target and final accuracy"
        return [*self.notes, best]


def billing_note(summary: pd.DataFrame) -> str:
    """Say what a small model is billed as: ``bytes billed ×488, compute ×4900``; empty if nothing.

    A run says so in its facts; see ``billing`` in the scenario.
    """
    notes = []
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
                notes.append(f"{what} {span}")
    return ", ".join(notes)
