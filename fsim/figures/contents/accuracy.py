"""Accuracy over simulated time and over uplink, the target, and where each series reached it."""

from __future__ import annotations

import pandas as pd

from fsim.figures.content import Axis, Content, Panel
from fsim.figures.contents.curves import curves, seed_notes
from fsim.figures.wording import byte_scale, time_scale


def accuracy_over_time(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Content:
    """Accuracy over simulated time.

    Parameters
    ----------
    evaluations, summary
        As :func:`fsim.load` gives them.
    """
    scale = time_scale(evaluations["time_s"].max())
    x = Axis(label="simulated time", unit=scale[1], floor=0)
    return _accuracy(evaluations, summary, "time", x, ("time_s", scale[0]), "time_to_target_s")


def accuracy_over_uplink(evaluations: pd.DataFrame, summary: pd.DataFrame) -> Content:
    """Accuracy over the bytes that all clients have uploaded together, on a logarithmic axis."""
    # Before the first round nothing was sent: no place for it on a logarithmic axis.
    uploads = evaluations[evaluations["uplink_bytes"] > 0]
    rows = uploads if len(uploads) else evaluations
    factor, unit = byte_scale(rows["uplink_bytes"].max())
    values = rows["uplink_bytes"] / factor
    span = (float(values.min()), float(values.max())) if len(uploads) else None
    x = Axis(label="uplink of all clients together", unit=unit, log=len(uploads) > 0, span=span)
    column = ("uplink_bytes", factor)
    return _accuracy(rows, summary, "uplink", x, column, "uplink_bytes_to_target")


def _accuracy(
    evaluations: pd.DataFrame,
    summary: pd.DataFrame,
    over: str,
    x: Axis,
    column: tuple[str, float],
    reached: str,
) -> Content:
    panel = Panel(
        x=x,
        y=Axis(label="held-out accuracy", unit="%", floor=0),
        marks=curves(evaluations, summary, column, ("accuracy", 0.01), reached),
        targets=sorted(set(100 * summary["target"])),
    )
    return Content(
        heading=f"Accuracy over {'simulated' if over == 'time' else 'cumulative'} {over}",
        summary=summary,
        notes=seed_notes(summary),
        legend="policy (large marker: target reached)",
        panels=[panel],
    )
