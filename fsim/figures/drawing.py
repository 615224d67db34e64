"""Figures by name: finds the tables that each needs among those of the runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fsim.core.errors import shown
from fsim.core.sources import summary_of
from fsim.figures.content import Content, FigureImpossible
from fsim.results.loading import Results
from fsim.results.saved_run import SavedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fsim.figures.interactive.chart import Chart


@dataclass(frozen=True)
class Drawing:
    """Something that can be drawn of runs; called with them, it returns a matplotlib figure.

    Attributes
    ----------
    show
        Puts together what it shows, from tables by the names ``records``, ``evaluations``,
        ``summary``, ``settings`` and ``batteries``, and from options.
    usual
        Whether it is drawn without being asked for.
    """

    show: Callable[..., Content]
    usual: bool = True

    @property
    def name(self) -> str:
        """By which it is asked for: that of the function."""
        return self.show.__name__

    @property
    def summary(self) -> str:
        """One line on what the figure shows."""
        return summary_of(self.show)

    def content(self, runs: Results | Sequence[SavedRun], **options: Any) -> Content:
        """The figure's content for some runs.

        Raises
        ------
        FigureImpossible
            The data does not hold what it shows.
        """
        results = runs if isinstance(runs, Results) else Results(runs)
        tables = {
            "records": lambda: results.records,
            "evaluations": lambda: results.evaluations,
            "summary": lambda: results.series,
            "settings": lambda: results.settings,
            "batteries": results.batteries,
        }
        parameters = inspect.signature(self.show).parameters
        arguments = {name: read() for name, read in tables.items() if name in parameters}
        return self.show(**arguments, **options)

    def __call__(self, runs: Results | Sequence[SavedRun], **options: Any) -> Figure:
        """Draw it with matplotlib; raises as :meth:`content`."""
        from fsim.figures.static.figure import draw

        return draw(self.content(runs, **options))

    def chart(self, runs: Results | Sequence[SavedRun], **options: Any) -> Chart:
        """Draw it with plotly; raises as :meth:`content`."""
        from fsim.figures.interactive.chart import draw

        return draw(self.content(runs, **options))


def content_of(
    drawings: Mapping[str, Drawing], name: str, results: Results, **options: Any
) -> Content:
    """The content of a figure by its name, which errors tell.

    Raises
    ------
    FigureImpossible
        An unknown name, or one that the data cannot give.
    """
    if name not in drawings:
        raise FigureImpossible(f"figure: found {shown(name)}, allowed are {', '.join(drawings)}")
    try:
        return drawings[name].content(results, **options)
    except FigureImpossible as error:
        raise FigureImpossible(f"figure {name}: {error}") from None


def contents(
    drawings: Mapping[str, Drawing], results: Results, names: Sequence[str] | None = None
) -> dict[str, Content]:
    """Contents of figures by name; without names, of all that the data can give.

    Raises
    ------
    FigureImpossible
        An unknown name, or one asked for that the data cannot give.
    """
    if names:
        return {name: content_of(drawings, name, results) for name in names}
    by_name = {}
    for name, drawing in drawings.items():
        with suppress(FigureImpossible):
            by_name[name] = drawing.content(results)
    return by_name
