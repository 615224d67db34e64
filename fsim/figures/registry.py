"""Figures, drawn from the tables of runs. One figure a module, and one style.

Each function takes the tables that it needs, as :func:`fsim.load` gives them, and returns a
matplotlib ``Figure``. ``FIGURES[name](runs)`` finds those tables by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from fsim.figures.accuracy.static import accuracy_over_time, accuracy_over_uplink
from fsim.figures.content import FigureImpossible
from fsim.figures.drawing import Drawing, drawn
from fsim.figures.energy.static import battery_drain, energy_per_round
from fsim.figures.labels.static import accuracy_by_label
from fsim.figures.pareto.static import pareto
from fsim.figures.payload.static import payload_breakdown
from fsim.figures.rounds.static import round_breakdown
from fsim.figures.scalability.static import scalability
from fsim.figures.static_style import STYLE
from fsim.figures.stragglers.static import stragglers
from fsim.figures.sweep.static import sweep_heat_map
from fsim.results.loading import Results
from fsim.results.manifest import FORMATS as FORMATS
from fsim.results.saved_run import SavedRun
from fsim.results.saving import replacing_file

FIGURES: dict[str, Drawing[Figure]] = {
    "accuracy_over_time": Drawing(accuracy_over_time),
    "accuracy_over_uplink": Drawing(accuracy_over_uplink),
    "pareto": Drawing(pareto),
    "round_breakdown": Drawing(round_breakdown),
    "payload_breakdown": Drawing(payload_breakdown),
    "stragglers": Drawing(stragglers),
    "accuracy_by_label": Drawing(accuracy_by_label),
    "energy_per_round": Drawing(energy_per_round),
    "battery_drain": Drawing(battery_drain),
    "scalability": Drawing(scalability, usual=False),
    "sweep_heat_map": Drawing(sweep_heat_map, usual=False),
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
    for name, figure in drawn(FIGURES, results, names).items():
        for kind in formats:
            path = folder / f"{name}.{kind}"
            with replacing_file(path) as temporary:
                save(figure, temporary, kind)
            paths.append(path)
    return paths


def save(figure: Figure, path: Path, kind: str) -> None:
    """Write a figure as ``png`` or ``svg``."""
    if kind not in FORMATS:
        raise FigureImpossible(f"format: found {kind!r}, allowed are {', '.join(FORMATS)}")
    # No date in the file: the same run draws the same bytes.
    metadata = {"Date": None} if kind == "svg" else None
    with mpl.rc_context(STYLE):
        figure.savefig(path, dpi=150, format=kind, metadata=metadata)
