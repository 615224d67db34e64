"""The time of a round over the number of clients."""

from __future__ import annotations

import pandas as pd

from fsim.figures.content import Axis, Content, FigureImpossible, Panel
from fsim.figures.marks import Line, Mark, Points
from fsim.figures.series import looks_by_policy
from fsim.figures.wording import time_scale

KEYS = {
    "protocol.clients_per_round": "clients of a round",
    "fleet.clients": "clients of the fleet",
}
"""Settings over which it is drawn, the first of them that varies."""


def scalability(records: pd.DataFrame, settings: pd.DataFrame, summary: pd.DataFrame) -> Content:
    """Mean simulated time of a round over the number of clients, a line a policy.

    Points are means over the runs with as many clients, bars their minimum to maximum.

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
    policies = table["policy"].astype(str).unique()
    marks: list[Mark] = []
    for policy, look in looks_by_policy({name: name for name in policies}).items():
        rows = table[table["policy"] == policy]
        own = (rows["seconds"] / factor).groupby(rows[key]).agg(["mean", "min", "max"])
        x, y = own.index.to_numpy(), own["mean"].to_numpy()
        bars = own["min"].to_numpy(), own["max"].to_numpy()
        marks.append(Line(name=policy, look=look, x=x, y=y))
        marks.append(Points(name=policy, look=look, x=x, y=y, y_bars=bars))
    counts = sorted(int(count) for count in table[key].unique())
    several = len(table) > len(table[["policy", key]].drop_duplicates())
    return Content(
        heading="Time of a round by number of clients",
        summary=summary,
        notes=["bars: minimum to maximum over runs"] if several else [],
        most=len(table),
        panels=[
            Panel(
                x=Axis(label=KEYS[key], log=True, span=(counts[0], counts[-1]), numbers=counts),
                y=Axis(label="mean simulated time of a round", unit=unit, floor=0),
                marks=marks,
            )
        ],
    )
