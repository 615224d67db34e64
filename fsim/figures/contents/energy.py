"""Energy a round, and what a run takes from the clients' batteries: means and highest clients."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from fsim.figures.content import Axis, Content, FigureImpossible, Panel
from fsim.figures.marks import Line
from fsim.figures.series import by_series, looks
from fsim.records import Kind
from fsim.results.energy import battery_drain as drain_of_run
from fsim.results.energy import energy_by_round

OWN_SCALES = "the two panels have scales of their own"


def energy_per_round(records: pd.DataFrame, summary: pd.DataFrame) -> Content:
    """Joules by round: mean of the clients that took part, and the maximum; means over seeds.

    Parameters
    ----------
    records, summary
        As :func:`fsim.load` gives them.

    Raises
    ------
    FigureImpossible
        No energy was recorded.
    """
    if not records["energy_j"].sum() > 0:
        raise FigureImpossible("found no energy in the records")
    notes = [OWN_SCALES, *(["means over seeds"] if summary["seed"].nunique() > 1 else [])]
    if radio := records["energy_j"][records["kind"] == Kind.RADIO].sum():
        share = radio / records["energy_j"].sum()
        notes.append(f"promotions and tails of radios are {share:.0%} of it")
    tables = {}
    for name, rows in by_series(records, summary).items():
        runs = [energy_by_round(run) for _, run in rows.groupby("run", observed=True)]
        if any(len(run) for run in runs):
            tables[name] = pd.concat(runs)[["mean_j", "max_j"]].groupby(level="round").mean()
    return Content(
        heading="Energy a round",
        summary=summary,
        notes=notes,
        columns=2,
        height=2.4,
        panels=_panels(
            tables,
            summary,
            {"mean of its clients": "mean_j", "its highest client": "max_j"},
            ("energy of a client in the round", "J"),
        ),
    )


def battery_drain(
    records: pd.DataFrame, summary: pd.DataFrame, batteries: Mapping[int, float]
) -> Content:
    """Percent of a full battery spent by the end of each round: the mean, and the highest client.

    Of a series of several seeds its first run is taken: other seeds have other fleets.

    Parameters
    ----------
    records, summary
        As :func:`fsim.load` gives them.
    batteries
        Client -> joules of its full battery; clients on the mains are left out.

    Raises
    ------
    FigureImpossible
        No batteries are known.
    """
    if not batteries:
        raise FigureImpossible("found no 'batteries_j' in the facts of the run's summary")
    tables = {}
    for name, rows in by_series(records, summary).items():
        if len(rows):
            spent = drain_of_run(rows[rows["run"] == rows["run"].iloc[0]], batteries)
            tables[name] = pd.DataFrame({"mean": spent.mean(axis=1), "highest": spent.max(axis=1)})
    notes = ["nothing charged meanwhile", OWN_SCALES]
    if summary["seed"].nunique() > 1:
        notes.append("the first seed of each")
    titles = {f"mean of {len(batteries):,} clients with a battery": "mean"}
    return Content(
        heading="Battery drain",
        summary=summary,
        notes=notes,
        columns=2,
        height=2.4,
        panels=_panels(
            tables,
            summary,
            titles | {"highest client": "highest"},
            ("spent of a full battery", "%"),
        ),
    )


def _panels(
    tables: Mapping[str, pd.DataFrame],
    summary: pd.DataFrame,
    columns: Mapping[str, str],
    axis: tuple[str, str],
) -> list[Panel]:
    """A panel a title and column of the tables; the first one's axis says what they are of."""
    rounds = Axis(label="round", whole=True)
    series_looks = {name: look for name, look in looks(summary).items() if name in tables}
    return [
        Panel(
            title=title,
            x=rounds,
            y=Axis(label="" if at else axis[0], unit=axis[1], floor=0),
            marks=[
                Line(name=name, look=look, x=tables[name].index, y=tables[name][column])
                for name, look in series_looks.items()
            ],
        )
        for at, (title, column) in enumerate(columns.items())
    ]
