"""Energy a round, and what a run takes from the clients' batteries: means and highest clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from fsim.figures.content import Content, FigureImpossible
from fsim.figures.series import Look, by_series, looks
from fsim.results.energy import battery_drain as drain_of_run
from fsim.results.energy import energy_by_round


@dataclass(frozen=True, kw_only=True)
class ByRound(Content):
    """Two numbers a round of each series.

    Attributes
    ----------
    series
        The series shown.
    tables
        By series, where it has any: indexed by ``round``, columns ``mean`` and ``highest``.
    titles
        What the two columns are of.
    axis
        What they are, with the unit.
    """

    series: Mapping[str, Look]
    tables: Mapping[str, pd.DataFrame]
    titles: tuple[str, str]
    axis: str


def energy_per_round(records: pd.DataFrame, summary: pd.DataFrame) -> ByRound:
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
    series = looks(summary)
    tables = {}
    for name, rows in by_series(records, summary).items():
        runs = [energy_by_round(run) for _, run in rows.groupby("run", observed=True)]
        found = [table for table in runs if len(table)]
        if name in series and found:
            means = pd.concat(found)[["mean_j", "max_j"]].groupby(level="round").mean()
            tables[name] = means.set_axis(["mean", "highest"], axis=1)
    notes = ["the two panels have scales of their own"]
    if summary["seed"].nunique() > 1:
        notes.append("means over seeds")
    return ByRound(
        heading="Energy a round",
        summary=summary,
        notes=notes,
        series=series,
        tables=tables,
        titles=("mean of its clients", "its highest client"),
        axis="energy of a client in the round (J)",
    )


def battery_drain(
    records: pd.DataFrame, summary: pd.DataFrame, batteries: Mapping[int, float]
) -> ByRound:
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
    series = looks(summary)
    tables = {}
    for name, rows in by_series(records, summary).items():
        if name in series and len(rows):
            spent = drain_of_run(rows[rows["run"] == rows["run"].iloc[0]], batteries)
            tables[name] = pd.DataFrame({"mean": spent.mean(axis=1), "highest": spent.max(axis=1)})
    notes = ["nothing charged meanwhile", "the two panels have scales of their own"]
    if summary["seed"].nunique() > 1:
        notes.append("the first seed of each")
    return ByRound(
        heading="Battery drain",
        summary=summary,
        notes=notes,
        series=series,
        tables=tables,
        titles=(f"mean of {len(batteries):,} clients with a battery", "highest client"),
        axis="spent of a full battery (%)",
    )
