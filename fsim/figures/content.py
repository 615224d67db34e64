"""What all figures have to say: of which runs, how billed, in which units, what was left out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fsim.core.errors import OutputError
from fsim.figures.series import MOST_SERIES, series_of


class FigureImpossible(OutputError):
    """The data does not hold what a figure shows."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What every figure tells beside its own.

    Attributes
    ----------
    heading
        What it shows.
    summary
        The runs that it shows.
    notes
        What has to be known of it: sentences without a full stop.
    most
        Series that it shows at most.
    """

    heading: str
    summary: pd.DataFrame
    notes: Sequence[str] = ()
    most: int = MOST_SERIES

    @property
    def subject(self) -> str:
        """Names of the scenarios, and the tasks."""
        names = " and ".join(dict.fromkeys(self.summary["name"].astype(str)[:3]))
        return f"{names}, {', '.join(dict.fromkeys(self.summary['task'].astype(str)))}"

    @property
    def told(self) -> list[str]:
        """The notes, and which series are shown where not all are."""
        count = series_of(self.summary).nunique()
        if count <= self.most:
            return list(self.notes)
        best = f"the {self.most} best of {count} series, by time to target and final accuracy"
        return [*self.notes, best]


@dataclass(frozen=True)
class Mean:
    """A mean over runs, and their minimum and maximum."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: pd.Series) -> Mean:
        """That of some numbers."""
        return cls(float(values.mean()), float(values.min()), float(values.max()))

    @property
    def below(self) -> float:
        """How far the minimum is below the mean."""
        # The mean of equal numbers may differ from them by a rounding.
        return max(self.mean - self.low, 0.0)

    @property
    def above(self) -> float:
        """How far the maximum is above the mean."""
        return max(self.high - self.mean, 0.0)


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


def time_scale(longest: float) -> tuple[float, str]:
    """Seconds of the unit in which such a time is written, and the unit."""
    units = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"))
    return next(((f, u) for f, u in units if longest > 3 * f), (1.0, "s"))


def byte_scale(largest: float) -> tuple[float, str]:
    """Bytes of the unit in which such a size is written, and the unit."""
    units = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    return next(((f, u) for f, u in units if largest > 2 * f), (1.0, "B"))


def wrapped(name: str, width: int) -> str:
    """A name on several lines if it is long, broken after spaces, colons, commas and the like."""
    lines = [""]
    for part in re.split(r"(?<=[ :,/-])", name):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    broken = [piece for line in lines for piece in textwrap.wrap(line, width)]
    return "\n".join(broken) or "(empty)"
