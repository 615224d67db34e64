"""Energy a round and what it takes from the batteries, read from the records of a run."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from fsim.records import SERVER, Kind

ROUND_ENERGY_TYPES = {
    "clients": "int64",
    "total_j": "float64",
    "radio_j": "float64",
    "mean_j": "float64",
    "max_j": "float64",
    "max_client": "int64",
}
"""Column -> type of the table of :func:`energy_by_round`."""


def energy_by_round(records: pd.DataFrame) -> pd.DataFrame:
    """Energy of each round, over the clients that took part in it.

    As Fed-FSTQ (arXiv 2604.25421) reports it: the mean of the fleet and the straggler's maximum.

    Parameters
    ----------
    records
        As :class:`fsim.records.Recorder` gives them.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``round``, a row for each that a client had a part in: ``clients`` that had,
        ``total_j``, ``radio_j``, the part of it that promotions and tails of radios took,
        ``mean_j``, ``max_j`` and ``max_client``, the client with that maximum (of several, the
        lowest number).
    """
    spent = _by_round_and_client(records)
    radio = records[records["kind"] == Kind.RADIO].groupby("round")["energy_j"].sum()
    table = pd.DataFrame(
        {
            "clients": spent.notna().sum(axis=1),
            "total_j": spent.sum(axis=1),
            "radio_j": radio.reindex(spent.index, fill_value=0.0),
            "mean_j": spent.mean(axis=1),
            "max_j": spent.max(axis=1),
            "max_client": spent.idxmax(axis=1),
        }
    )
    return table.astype(ROUND_ENERGY_TYPES)


def battery_drain(records: pd.DataFrame, batteries: Mapping[int, float]) -> pd.DataFrame:
    """Share of its battery that each client has spent by the end of each round.

    Parameters
    ----------
    records
        As :class:`fsim.records.Recorder` gives them.
    batteries
        Client -> joules of its full battery; clients on the mains are left out.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``round``, a column for each client of ``batteries`` in its order: percent of a
        full battery spent on the run since its beginning, nothing charged meanwhile, so that more
        than 100 means more than one.

    Raises
    ------
    ValueError
        A battery without a positive capacity.
    """
    for client, capacity in batteries.items():
        if not capacity > 0:
            raise ValueError(f"client {client}: found a battery of {capacity:g} J, allowed is more")
    spent = _by_round_and_client(records).reindex(columns=list(batteries)).fillna(0.0).cumsum()
    return 100 * spent / pd.Series(dict(batteries), dtype="float64")


def _by_round_and_client(records: pd.DataFrame) -> pd.DataFrame:
    """Joules by round (rows) and client (columns), NaN where a client had no part in a round."""
    rows = records[records["client"] != SERVER]
    spent = rows.pivot_table(index="round", columns="client", values="energy_j", aggfunc="sum")
    return spent.sort_index().sort_index(axis=1)
