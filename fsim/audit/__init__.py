"""Fed-FSTQ's published figures, what their own inputs imply, and what was measured here.

A room of its own: it reads published numbers and finished runs, and runs nothing.
"""

from fsim.audit.checks import Check, Verdict
from fsim.audit.contradictions import cross_checks
from fsim.audit.figures import published_figures
from fsim.audit.measured import Measurement, measurements_of, read_measured, write_measured

__all__ = [
    "Check",
    "Measurement",
    "Verdict",
    "cross_checks",
    "measurements_of",
    "published_figures",
    "read_measured",
    "write_measured",
]
