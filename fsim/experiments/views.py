"""Runs to look at: drawn by a figure's name, and shown by a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fsim.core.errors import OutputError
from fsim.results import loading
from fsim.results.loading import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USUAL = "accuracy_over_time"
"""The figure that is drawn where none is named."""

MOST_ROWS = 60
"""Rows that a notebook shows of a table, as it does of others."""


class Viewable(ABC):
    """Runs that can be plotted, and that a notebook shows as a table and the accuracy curve."""

    @property
    @abstractmethod
    def results(self) -> Results:
        """Their tables."""

    def plot(self, figure: str = USUAL, **options: Any) -> Figure:
        """Draw a figure of the runs.

        Parameters
        ----------
        figure
            Of :data:`fsim.FIGURES`, as ``"pareto"``.
        options
            The figure's own.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it; ``savefig`` writes it.

        Raises
        ------
        OutputError
            An unknown name, or a figure that the runs do not have the data for.
        """
        from fsim.figures.drawing import content_of
        from fsim.figures.registry import FIGURES
        from fsim.figures.static.figure import draw

        return draw(content_of(FIGURES, figure, self.results, **options))

    def _repr_html_(self) -> str:
        from fsim.report.notebook import notebook_html

        return notebook_html(self.results)


class LoadedResults(Viewable, Results):
    """Runs read back from a folder (:class:`fsim.results.loading.Results`)."""

    @property
    def results(self) -> Results:
        """Itself."""
        return self


class ResultTable(Viewable, pd.DataFrame):  # type: ignore[misc]  # its plot draws fsim's figures
    """The table of a comparison or of a sweep, which knows the runs that it tells of.

    It is a DataFrame; what is selected or computed from it is a plain one.

    Parameters
    ----------
    table
        What it holds.
    folder
        Where the runs are.

    Attributes
    ----------
    folder
        Where the runs are.
    """

    _metadata = ["folder"]  # noqa: RUF012  # as pandas has it
    folder: Path

    def __init__(self, table: pd.DataFrame, folder: Path) -> None:
        super().__init__(table)  # type: ignore[call-arg]  # stubs know of `__new__` alone
        self.folder = folder

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    @cached_property
    def results(self) -> Results:
        """The runs' own tables, as :func:`fsim.load` gives them."""
        return loading.load(self.folder)

    def _repr_html_(self) -> str:
        from fsim.report.notebook import notebook_html

        table = pd.DataFrame(self).to_html(max_rows=MOST_ROWS, notebook=True)
        try:
            return notebook_html(self.results, table)
        except OutputError:  # no cell left results, or they have been moved meanwhile
            return table


def load(folder: str | Path) -> LoadedResults:
    """The runs in a folder: a run's own, a comparison's, a sweep's, or any that hold such.

    Parameters
    ----------
    folder
        Where to look; runs are found at any depth below it, hidden folders excepted.

    Returns
    -------
    LoadedResults
        With ``records``, ``evaluations``, ``summary`` and ``settings`` as DataFrames, and ``plot``.

    Raises
    ------
    OutputError
        There is no run, one is damaged, or of a version that cannot be read.
    """
    results = loading.load(folder)
    return LoadedResults(results.runs, Path(folder))
