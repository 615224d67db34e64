"""What is drawn by name: finds the tables that it needs among those of the runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fsim.figures.content import FigureImpossible
from fsim.results.loading import Results
from fsim.results.saved_run import SavedRun

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Drawing(Generic[Drawn]):
    """Something that can be drawn of runs.

    Attributes
    ----------
    draw
        Takes tables by the names ``records``, ``evaluations``, ``summary``, ``settings`` and
        ``batteries``, and options.
    usual
        Whether it is drawn without being asked for.
    """

    draw: Callable[..., Drawn]
    usual: bool = True

    def __call__(self, runs: Results | Sequence[SavedRun], **options: Any) -> Drawn:
        """Draw it from the tables of runs.

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
        wanted = inspect.signature(self.draw).parameters
        given = {name: read() for name, read in tables.items() if name in wanted}
        return self.draw(**given, **options)


def drawn(
    drawings: Mapping[str, Drawing[Drawn]], results: Results, names: Sequence[str] | None = None
) -> dict[str, Drawn]:
    """Some of the drawings by name; without names, the usual ones that the data can give.

    Raises
    ------
    FigureImpossible
        An unknown name, or one asked for that the data cannot give.
    """
    figures = {}
    for name in names or drawings:
        if name not in drawings:
            raise FigureImpossible(f"figure: found {name!r}, allowed are {', '.join(drawings)}")
        if names is None and not drawings[name].usual:
            continue
        try:
            figures[name] = drawings[name](results)
        except FigureImpossible as error:
            if names is not None:
                raise FigureImpossible(f"figure {name}: {error}") from None
    return figures
