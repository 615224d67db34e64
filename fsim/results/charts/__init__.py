"""Charts: what figures show, to be hovered over, zoomed and toggled in a report.

Each function takes the tables that it needs, as :func:`fsim.load` gives them, and returns a
:class:`Chart`. ``CHARTS[name](runs)`` finds those tables by itself. What a chart shows is put
together in :mod:`fsim.results.contents`, for it and for the figure of the same name alike.
"""

from __future__ import annotations

from fsim.results.charts.accuracy import accuracy_over_time, accuracy_over_uplink
from fsim.results.charts.energy import battery_drain, energy_per_round
from fsim.results.charts.labels import accuracy_by_label
from fsim.results.charts.pareto import pareto
from fsim.results.charts.payload import payload_breakdown
from fsim.results.charts.rounds import round_breakdown
from fsim.results.charts.scalability import scalability
from fsim.results.charts.stragglers import stragglers
from fsim.results.charts.style import Chart
from fsim.results.charts.sweep import sweep_heat_map
from fsim.results.drawing import Drawing

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
