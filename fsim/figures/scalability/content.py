"""How the time of a round grows with the number of clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from fsim.figures.content import Content, FigureImpossible, Mean, time_scale
from fsim.figures.series import Look

KEYS = {
    "protocol.clients_per_round": "clients of a round",
    "fleet.clients": "clients of the fleet",
}
"""Settings over which it is drawn, the first of them that varies."""


@dataclass(frozen=True, kw_only=True)
class Scalability(Content):
    """Points by policy.

    Attributes
    ----------
    series
        The policies.
    points
        Policy -> number of clients, ascending -> time of a round over the runs with as many.
    axis
        What the clients are.
    unit
        Of the times.
    """

    series: Mapping[str, Look]
    points: Mapping[str, Mapping[int, Mean]]
    axis: str
    unit: str

    @property
    def counts(self) -> list[int]:
        """Numbers of clients that some run has."""
        return sorted({count for own in self.points.values() for count in own})


def scalability(
    records: pd.DataFrame, settings: pd.DataFrame, summary: pd.DataFrame
) -> Scalability:
    """Mean simulated time of a round over the number of clients.

    Parameters
    ----------
    records, settings, summary
        As :func:`fsim.load` gives them, of runs with different numbers of clients.

    Raises
    ------
    FigureImpossible
        All runs have as many clients.
    """
    key = next((key for key in KEYS if key in settings and settings[key].nunique() > 1), None)
    if key is None:
        raise FigureImpossible(
            f"found one number of clients, needed are runs that differ in {' or '.join(KEYS)}"
        )
    rounds = records[records["kind"] == "round"]
    seconds = rounds.groupby("run", observed=True)["duration_s"].mean()
    table = settings[["run", "policy", key]].assign(
        seconds=settings["run"].map(seconds.to_dict()).astype(float)
    )
    factor, unit = time_scale(table["seconds"].max())
    points = {}
    for policy, rows in table.groupby("policy", sort=False):
        counted = (rows["seconds"] / factor).groupby(rows[key])
        points[str(policy)] = {int(count): Mean.of(values) for count, values in counted}
    found = sum(len(own) for own in points.values())
    return Scalability(
        heading="Time of a round by number of clients",
        summary=summary,
        notes=["bars: minimum to maximum over runs"] if len(table) > found else [],
        most=len(table),
        series={policy: Look(at) for at, policy in enumerate(points)},
        points=points,
        axis=KEYS[key],
        unit=unit,
    )
