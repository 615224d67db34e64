"""Marks: what is drawn in a panel, in numbers and looks, for every renderer alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fsim.figures.series import Look

Floats = npt.NDArray[np.float64]

Span = tuple[Any, Any]
"""Minima and maxima about values, shapes (n,)."""

GREY = Look("#777777", form=1)
"""Of what belongs to no series."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mark:
    """Something drawn.

    Attributes
    ----------
    name
        Its entry in the legend, which all marks of one name share; empty for none.
    look
        How it is drawn.
    hint
        Written before its values where it is pointed at.
    """

    name: str = ""
    look: Look = GREY
    hint: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Line(Mark):
    """Points joined, shapes (n,).

    Attributes
    ----------
    x, y
        The points.
    band
        Drawn faintly about the line; None for none.
    thin
        Whether it is drawn as what matters less.
    marked
        Whether it has markers along it in print; on a screen all but the thin ones have.
    """

    x: Any
    y: Any
    band: Span | None = None
    thin: bool = False
    marked: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Points(Mark):
    """Large markers, shapes (n,).

    Attributes
    ----------
    x, y
        The points.
    x_bars, y_bars
        Error bars from the minima to the maxima; None for none.
    hollow
        Whether they are drawn as outlines.
    """

    x: Any
    y: Any
    x_bars: Span | None = None
    y_bars: Span | None = None
    hollow: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Bars(Mark):
    """Bars, shapes (n,).

    Attributes
    ----------
    places
        Of their middles, along the axis that they stand on.
    sizes
        Their lengths.
    starts
        Where each begins, the bars below it being as long; 0 where none is.
    thickness
        Of each, in units of the axis that they stand on.
    upright
        Whether they stand on the horizontal axis.
    """

    places: Any
    sizes: Any
    starts: Any = 0.0
    thickness: float = 0.7
    upright: bool = False


@dataclass(frozen=True)
class Box:
    """Percentiles of some values, least and largest."""

    least: float
    p5: float
    q1: float
    median: float
    q3: float
    p95: float
    largest: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Boxes(Mark):
    """Lying boxes with whiskers from the 5th to the 95th percentile, a mark at the largest.

    Attributes
    ----------
    places
        Of their middles, along the vertical axis.
    boxes
        One a place.
    thickness
        Of each, in units of the vertical axis.
    """

    places: Sequence[float]
    boxes: Sequence[Box]
    thickness: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells(Mark):
    """A heat map.

    Attributes
    ----------
    numbers
        Shape (rows, columns), NaN where there is none.
    empty
        Written in the cells without a number, shape (rows, columns).
    label
        Of the numbers, with the unit.
    """

    numbers: Floats
    empty: Sequence[Sequence[str]]
    label: str

    @property
    def finite(self) -> Floats:
        """The numbers that there are, shape (n,)."""
        return self.numbers[~np.isnan(self.numbers)]

    @property
    def log(self) -> bool:
        """True if the numbers are too far apart for a linear scale of colours."""
        finite = self.finite
        return len(finite) > 0 and bool(finite.min() > 0 and finite.max() > 10 * finite.min())


def whiskers(values: Any, span: Span) -> tuple[list[float], list[float]]:
    """Lengths of error bars below and above values, shapes (n,)."""
    # The mean of equal numbers may differ from them by a rounding.
    below = np.maximum(np.asarray(values) - np.asarray(span[0]), 0)
    above = np.maximum(np.asarray(span[1]) - np.asarray(values), 0)
    return below.tolist(), above.tolist()
