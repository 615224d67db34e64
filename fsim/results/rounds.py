"""Clients' rounds, put together from the records: how long each part of one took, who was last."""

from __future__ import annotations

import pandas as pd

from fsim.records import SERVER, Kind

PART_OF = {
    Kind.WAIT: "wait_s",
    Kind.DOWNLOAD: "download_s",
    Kind.COMPUTE: "compute_s",
    Kind.UPLOAD: "upload_s",
    Kind.LOST: "lost_s",
}
"""Kind of a record -> the column that sums its durations."""

CLIENT_ROUND_COLUMNS = (
    "run",
    "client",
    "round",
    "began_s",
    "ended_s",
    "duration_s",
    *PART_OF.values(),
    "server_down_s",
    "lost",
)


def client_rounds(records: pd.DataFrame) -> pd.DataFrame:
    """A row for each time a client was given a round to do, and was heard of or noticed as lost.

    Parameters
    ----------
    records
        As :func:`fsim.load` gives them, with a column ``run``.

    Returns
    -------
    pandas.DataFrame
        ``run``, ``client``, ``round``; ``began_s`` and ``ended_s``, simulated seconds;
        ``duration_s`` between them, which is the sum of ``wait_s``, ``download_s``, ``compute_s``,
        ``upload_s``, ``lost_s``, in which the server had not noticed yet that it is lost, and
        ``server_down_s``, in which it had sent its payload to a server that was down; ``lost``,
        whether nothing came of it. In the order in which they ended, run by run. A client that was
        still at work when the run ended has no row.
    """
    # What its radio draws is beside its round, and may be told in the next one.
    of_clients = (records["client"] != SERVER) & (records["kind"] != Kind.RADIO)
    rows = records[of_clients].assign(run=records["run"].astype(str))
    ends = rows["kind"].isin([Kind.RECEIVE, Kind.LOST])
    who = [rows["run"], rows["client"]]
    # What follows an end belongs to the client's next task, which may be of the same round.
    task = ends.groupby(who).cumsum() - ends.astype(int)
    rows = rows.assign(
        task=task, until=rows["time_s"] + rows["duration_s"], lost=rows["kind"].eq(Kind.LOST)
    )
    for kind, column in PART_OF.items():
        rows[column] = rows["duration_s"].where(rows["kind"].eq(kind), 0.0)
    grouped = rows.assign(done=ends).groupby(["run", "client", "task"], sort=False)
    table = grouped.agg(
        round=("round", "first"),
        began_s=("time_s", "min"),
        ended_s=("until", "max"),
        **{column: (column, "sum") for column in PART_OF.values()},
        lost=("lost", "any"),
        done=("done", "any"),
    ).reset_index()
    table = table[table["done"]]
    table["duration_s"] = table["ended_s"] - table["began_s"]
    parts = table[list(PART_OF.values())].sum(axis=1)
    table["server_down_s"] = (table["duration_s"] - parts).clip(lower=0.0)
    order = pd.Categorical(table["run"], records["run"].astype(str).unique())
    table = table.assign(_order=order.codes).sort_values(["_order", "ended_s"], kind="stable")
    return table[list(CLIENT_ROUND_COLUMNS)].reset_index(drop=True)


def server_rounds(records: pd.DataFrame) -> pd.DataFrame:
    """The server's rounds: ``run``, ``round``, ``began_s``, ``ended_s``, ``duration_s``."""
    rows = records[records["kind"].eq(Kind.ROUND)]
    return pd.DataFrame(
        {
            "run": rows["run"].astype(str),
            "round": rows["round"],
            "began_s": rows["time_s"],
            "ended_s": rows["time_s"] + rows["duration_s"],
            "duration_s": rows["duration_s"],
        }
    ).reset_index(drop=True)


def last_clients(records: pd.DataFrame) -> pd.DataFrame:
    """For each of the server's rounds the client's round that ended last in it.

    It is the critical path where rounds are synchronous; where they overlap, it may have begun in
    an earlier round.

    Returns
    -------
    pandas.DataFrame
        The columns of :func:`client_rounds`, ``round`` being the server's, ``round_s`` the
        duration of the server's round. A round in which no client ended has no row.
    """
    clients = client_rounds(records)
    rounds = server_rounds(records)
    merged = pd.merge_asof(
        # The server's round ends at the very time of its last arrival.
        rounds.assign(at=rounds["ended_s"] + 1e-9).sort_values("at", kind="stable"),
        clients.drop(columns="round").sort_values("ended_s", kind="stable"),
        left_on="at",
        right_on="ended_s",
        by="run",
        suffixes=("_of_round", ""),
    )
    inside = merged["ended_s"] > merged["began_s_of_round"] - 1e-9
    merged = merged[inside].rename(columns={"duration_s_of_round": "round_s"})
    merged = merged.astype({"client": "int64", "lost": "bool"})
    return merged.sort_values(["run", "round"], kind="stable")[
        [*CLIENT_ROUND_COLUMNS, "round_s"]
    ].reset_index(drop=True)
