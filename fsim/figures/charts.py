"""Charts: what figures show, to be hovered over, zoomed and toggled in a report.

Each function takes the tables that it needs, as :func:`fsim.load` gives them, and returns a
:class:`Chart`. ``CHARTS[name](runs)`` finds those tables by itself. What a chart shows is put
together in :mod:`fsim.figures`, for it and for the figure of the same name alike.
"""

from __future__ import annotations

from fsim.figures.accuracy.interactive import accuracy_over_time, accuracy_over_uplink
from fsim.figures.drawing import Drawing
from fsim.figures.energy.interactive import battery_drain, energy_per_round
from fsim.figures.interactive_style import Chart
from fsim.figures.labels.interactive import accuracy_by_label
from fsim.figures.pareto.interactive import pareto
from fsim.figures.payload.interactive import payload_breakdown
from fsim.figures.rounds.interactive import round_breakdown
from fsim.figures.scalability.interactive import scalability
from fsim.figures.stragglers.interactive import stragglers
from fsim.figures.sweep.interactive import sweep_heat_map

CHARTS: dict[str, Drawing[Chart]] = {
    "accuracy_over_time": Drawing(accuracy_over_time),
    "accuracy_over_uplink": Drawing(accuracy_over_uplink),
    "pareto": Drawing(pareto),
    "round_breakdown": Drawing(round_breakdown),
    "payload_breakdown": Drawing(payload_breakdown),
    "stragglers": Drawing(stragglers),
    "accuracy_by_label": Drawing(accuracy_by_label),
    "energy_per_round": Drawing(energy_per_round),
    "battery_drain": Drawing(battery_drain),
    "scalability": Drawing(scalability),
    "sweep_heat_map": Drawing(sweep_heat_map),
}
"""Name -> what draws it. A report has all that its runs can give."""
