"""Uplink over simulated time: how soon a policy has spent how many bytes."""

from __future__ import annotations

import pandas as pd

from fsim.figures.content import Axis, Content, Panel
from fsim.figures.contents.curves import curves, seed_notes
from fsim.figures.wording import byte_scale, time_scale


def uplink_over_time(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Content:
    """Bytes that all clients together have uploaded, as billed, over simulated time.

    Parameters
    ----------
    evaluations, summary
        As :func:`fsim.load` gives them.
    """
    second, time_unit = time_scale(evaluations["time_s"].max())
    byte, size_unit = byte_scale(evaluations["uplink_bytes"].max())
    panel = Panel(
        x=Axis(label="simulated time", unit=time_unit, floor=0),
        y=Axis(label="uplink of all clients together", unit=size_unit, floor=0),
        marks=curves(evaluations, summary, ("time_s", second), ("uplink_bytes", byte)),
    )
    return Content(
        heading="Cumulative uplink over simulated time",
        summary=summary,
        notes=seed_notes(summary),
        panels=[panel],
    )
