"""Series of runs: which are shown, and in which colour wherever they are.

Every figure can be read in grey and by the colour-blind: what is told apart by colour is told apart
by dashes, markers or hatches too, which a look's number chooses.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

# Okabe and Ito's palette, told apart by the colour-blind; dashes and markers serve print in grey.
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")

HATCHES = ("", "/", ".", "x", "\\", "+", "|", "-")
"""Of areas: forms that matplotlib and plotly both have, by the same letters."""

MOST_SERIES = 12
"""Lines of one panel at most: more are not told apart."""


@dataclass(frozen=True)
class Look:
    """How one series is drawn in every panel.

    Attributes
    ----------
    number
        Of the series among those shown, from 0, by which it has its dashes, marker and hatch.
    """

    number: int

    @property
    def color(self) -> str:
        """Its colour, as ``#RRGGBB``."""
        return COLORS[self.number % len(COLORS)]

    @property
    def hatch(self) -> str:
        """Its hatch, of :data:`HATCHES`."""
        return HATCHES[self.number % len(HATCHES)]

    @property
    def tint(self) -> str:
        """A light shade of it, in which a hatch and a median can be seen."""
        parts = (int(self.color[at : at + 2], 16) for at in (1, 3, 5))
        return "#" + "".join(f"{round(255 - 0.45 * (255 - part)):02X}" for part in parts)


@dataclass(frozen=True)
class Part:
    """How one of the parts that areas are stacked of is drawn: its name, colour and hatch."""

    name: str
    color: str
    hatch: str


def looks(summary: pd.DataFrame, most: int = MOST_SERIES) -> dict[str, Look]:
    """The series that are drawn, in the order of the summary, and their looks.

    Of more than ``most``, those soonest at the target, and then the most accurate.
    """
    names = series_of(summary)
    order = list(dict.fromkeys(names))
    if len(order) > most:
        best = (
            summary.assign(_series=names)
            .groupby("_series")[["time_to_target_s", "final_accuracy"]]
            .mean()
            .sort_values(["time_to_target_s", "final_accuracy"], ascending=[True, False])
        )
        kept = set(best.index[:most])
        order = [name for name in order if name in kept]
    return {name: Look(at) for at, name in enumerate(order)}


def series_of(summary: pd.DataFrame) -> pd.Series:
    """The series of each run: the column of that name where there is one, else the policy."""
    return (summary["series"] if "series" in summary else summary["policy"]).astype(str)


def by_series(table: pd.DataFrame, summary: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of a table by the series of their runs, for the series that are drawn."""
    names = dict(zip(summary["run"], series_of(summary), strict=True))
    series = table["run"].map(names).astype(str)
    return {name: table[series == name] for name in dict.fromkeys(names.values())}
