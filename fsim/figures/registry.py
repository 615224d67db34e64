"""Figures by name, drawn from the tables of runs by matplotlib or plotly.

``FIGURES[name](runs)`` is a matplotlib ``Figure``, ``FIGURES[name].chart(runs)`` a plotly one for a
report, and ``FIGURES[name].content(runs)`` what both show.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fsim.core.registry import Catalog
from fsim.figures.content import FigureImpossible
from fsim.figures.contents.accuracy import accuracy_over_time, accuracy_over_uplink
from fsim.figures.contents.energy import battery_drain, energy_per_round
from fsim.figures.contents.labels import accuracy_by_label
from fsim.figures.contents.pareto import pareto
from fsim.figures.contents.payload import payload_breakdown
from fsim.figures.contents.rounds import round_breakdown
from fsim.figures.contents.scalability import scalability
from fsim.figures.contents.stragglers import stragglers
from fsim.figures.contents.sweep import sweep_heat_map
from fsim.figures.contents.uplink import uplink_over_time
from fsim.figures.drawing import Drawing, contents
from fsim.results.loading import Results
from fsim.results.manifest import FORMATS as FORMATS
from fsim.results.saved_run import SavedRun
from fsim.results.saving import replacing_file

FIGURES: Catalog[Drawing] = Catalog(
    "figure",
    Drawing,
    "fsim.figures.registry.Drawing",
    (
        Drawing(accuracy_over_time),
        Drawing(accuracy_over_uplink),
        Drawing(uplink_over_time),
        Drawing(pareto),
        Drawing(round_breakdown),
        Drawing(payload_breakdown),
        Drawing(stragglers),
        Drawing(accuracy_by_label),
        Drawing(energy_per_round),
        Drawing(battery_drain),
        Drawing(scalability, usual=False),
        Drawing(sweep_heat_map, usual=False),
    ),
    in_results=False,
)
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
        Of :data:`~fsim.results.manifest.FORMATS`.

    Raises
    ------
    OutputError
        An unknown name or format, a figure asked for that the data cannot give
        (:class:`FigureImpossible`), or a place that cannot be written.
    """
    from fsim.figures.static.figure import draw, save

    for kind in formats:
        if kind not in FORMATS:
            raise FigureImpossible(f"format: found {kind!r}, allowed are {', '.join(FORMATS)}")
    results = runs if isinstance(runs, Results) else Results(runs)
    usual = {name: drawing for name, drawing in FIGURES.items() if drawing.usual}
    paths = []
    for name, content in contents(FIGURES if names else usual, results, names).items():
        figure = draw(content)
        for kind in formats:
            path = folder / f"{name}.{kind}"
            with replacing_file(path) as temporary:
                save(figure, temporary, kind)
            paths.append(path)
    return paths
