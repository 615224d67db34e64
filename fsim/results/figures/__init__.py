"""Figures, drawn from the tables of runs. One figure a module, and one style.

Each function takes the tables that it needs, as :func:`fsim.load` gives them, and returns a
matplotlib ``Figure``. ``FIGURES[name](runs)`` finds those tables by itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from fsim.results.figures.accuracy import accuracy_over_time, accuracy_over_uplink
from fsim.results.figures.battery import battery_drain_over_rounds
from fsim.results.figures.energy import energy_per_round
from fsim.results.figures.labels import accuracy_by_label
from fsim.results.figures.pareto import pareto
from fsim.results.figures.payload import payload_breakdown
from fsim.results.figures.rounds import round_breakdown
from fsim.results.figures.scalability import scalability
from fsim.results.figures.stragglers import stragglers
from fsim.results.figures.style import STYLE, FigureImpossible
from fsim.results.figures.sweep import sweep_heat_map
from fsim.results.loading import Results
from fsim.results.output import replacing_file
from fsim.results.saved import SavedRun

FORMATS = ("png", "svg")


@dataclass(frozen=True)
class Chart:
    """A figure by name.

    Attributes
    ----------
    draw
        Takes tables by the names ``records``, ``evaluations``, ``summary``, ``settings`` and
        ``batteries``, and options.
    usual
        Whether it is drawn without being asked for.
    """

    draw: Callable[..., Figure]
    usual: bool = True

    def __call__(self, runs: Results | Sequence[SavedRun], **options: Any) -> Figure:
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


FIGURES: dict[str, Chart] = {
    "accuracy_over_time": Chart(accuracy_over_time),
    "accuracy_over_uplink": Chart(accuracy_over_uplink),
    "pareto": Chart(pareto),
    "round_breakdown": Chart(round_breakdown),
    "payload_breakdown": Chart(payload_breakdown),
    "stragglers": Chart(stragglers),
    "accuracy_by_label": Chart(accuracy_by_label),
    "energy_per_round": Chart(energy_per_round),
    "battery_drain": Chart(battery_drain_over_rounds),
    "scalability": Chart(scalability, usual=False),
    "sweep_heat_map": Chart(sweep_heat_map, usual=False),
}
"""Name -> what draws it. A trace's capacity is ``fsim trace plot``, a fleet's ``fsim fleet``."""


def save_figures(
    runs: Results | Sequence[SavedRun],
    folder: Path,
    names: Sequence[str] | None = None,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Draw figures into a folder, and return the paths.

    Parameters
    ----------
    runs, folder
        What to draw, and where.
    names
        Of :data:`FIGURES`; None for the usual ones that the data can give.
    formats
        Of :data:`FORMATS`.

    Raises
    ------
    OutputError
        An unknown name or format, a figure asked for that the data cannot give
        (:class:`FigureImpossible`), or a place that cannot be written.
    """
    results = runs if isinstance(runs, Results) else Results(runs)
    paths = []
    for name, figure in drawn(results, names).items():
        for kind in formats:
            path = folder / f"{name}.{kind}"
            with replacing_file(path) as temporary:
                save(figure, temporary, kind)
            paths.append(path)
    return paths


def drawn(
    results: Results, names: Sequence[str] | None = None, unusual: bool = False
) -> dict[str, Figure]:
    """Figures by name, as :func:`save_figures` chooses them and raises.

    With ``unusual`` and without names, all that the data can give.
    """
    figures = {}
    for name in names or FIGURES:
        if name not in FIGURES:
            raise FigureImpossible(f"figure: found {name!r}, allowed are {', '.join(FIGURES)}")
        if names is None and not (unusual or FIGURES[name].usual):
            continue
        try:
            figures[name] = FIGURES[name](results)
        except FigureImpossible as error:
            if names is not None:
                raise FigureImpossible(f"figure {name}: {error}") from None
    return figures


def save(figure: Figure, path: Path, kind: str) -> None:
    """Write a figure as ``png`` or ``svg``."""
    if kind not in FORMATS:
        raise FigureImpossible(f"format: found {kind!r}, allowed are {', '.join(FORMATS)}")
    # No date in the file: the same run draws the same bytes.
    metadata = {"Date": None} if kind == "svg" else None
    with mpl.rc_context(STYLE):
        figure.savefig(path, dpi=150, format=kind, metadata=metadata)
