"""A run on a time line, in the Chrome trace-event form that Perfetto, Speedscope and Chrome read.

Written after "Trace Event Format" (Google, 2016): complete events (``X``) for what lasts, instant
events (``i``) for what does not, counters (``C``), names as metadata (``M``); times and durations
in microseconds, of simulated time. A process is the server, another the clients; a thread of it is
a client.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from fsim.records import SERVER, Kind, details_of
from fsim.results.saving import replacing_file

MICROSECONDS = 1e6
TICKS = 1024
"""Of a microsecond. In whole ones of them begin and duration add up to the end without a rounding,
up to 100 days: slices that end where the next begins would otherwise overlap by one, which viewers
take for nesting."""

SERVER_PROCESS, CLIENT_PROCESS = 1, 2

LASTING = (Kind.WAIT, Kind.DOWNLOAD, Kind.COMPUTE, Kind.UPLOAD, Kind.ROUND)
"""Kinds that are slices even where they take no time; others are instants where they take none."""

Event = dict[str, Any]


def write_timeline(
    records: pd.DataFrame, evaluations: pd.DataFrame, path: Path, name: str = "fsim"
) -> int:
    """Write a run's time line as JSON, and return the number of its events.

    Parameters
    ----------
    records, evaluations
        Of one run, as :class:`fsim.records.Recorder` or :func:`fsim.load` gives them.
    path
        The file, replaced if it exists.
    name
        What the run is called.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with replacing_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        return _write(events(records, evaluations, name), file)


def events(records: pd.DataFrame, evaluations: pd.DataFrame, name: str = "fsim") -> Iterator[Event]:
    """The events of a run: names of tracks, then slices, instants and counters.

    Tasks of one client, or rounds of tiers, that overlap have a track each, for slices of a track
    may only nest.
    """
    tracks = _Tracks()
    slices = [_slice(row, tracks) for row in records.itertuples(index=False)]
    yield _named(SERVER_PROCESS, None, "process_name", f"{name}: server")
    yield _named(CLIENT_PROCESS, None, "process_name", f"{name}: clients")
    for (process, track), named in sorted(tracks.names.items()):
        yield _named(process, track, "thread_name", named)
        yield {**_named(process, track, "thread_sort_index", ""),
               "args": {"sort_index": track}}  # fmt: skip
    yield from slices
    for kind, link in ((Kind.UPLOAD, "uplink"), (Kind.DOWNLOAD, "downlink")):
        rows = records[records["kind"] == kind]
        yield from _under_way(rows, rows["bytes"], f"{link} bytes in flight")
        yield from _under_way(rows, _capacities(rows), f"{link} capacity in use, B/s")
    columns = ["accuracy", "uplink_bytes", "energy_j"]
    for column in columns:
        for time, value in zip(evaluations["time_s"], evaluations[column], strict=True):
            yield _counter(float(time), column, float(value))


class _Tracks:
    """Thread numbers: a client's or the server's own, and more where it does two things at once."""

    def __init__(self) -> None:
        self.names: dict[tuple[int, int], str] = {}
        # In microseconds.
        self._free_from: dict[int, list[tuple[float, int]]] = {}

    def place(self, client: int, begins: float, ends: float) -> tuple[int, int, float]:
        """Process and track that is free from then on, and from when: a tick later at most."""
        process = SERVER_PROCESS if client == SERVER else CLIENT_PROCESS
        tracks = self._free_from.setdefault(client, [])
        for at, (free, track) in enumerate(tracks):
            if free <= begins + 1 / TICKS:
                tracks[at] = max(free, ends), track
                return process, track, max(free, begins)
        # A client's tracks lie together: 100 numbers a client, and tasks rarely overlap.
        track = len(tracks) + (0 if client == SERVER else client * 100 + 1)
        tracks.append((ends, track))
        name = "rounds" if client == SERVER else f"client {client}"
        self.names[process, track] = name + (f" ({len(tracks)})" if len(tracks) > 1 else "")
        return process, track, begins


def _slice(row: Any, tracks: _Tracks) -> Event:
    kind, client = Kind(row.kind), int(row.client)
    begins, ends = _ticked(row.time_s), _ticked(row.time_s + row.duration_s)
    arguments: dict[str, Any] = {"round": int(row.round), "bytes": int(row.bytes)}
    arguments["energy_j"] = float(row.energy_j)
    arguments |= details_of(row.details)
    label = f"round {row.round}" if kind is Kind.ROUND else kind.value
    process, track, begins = tracks.place(client, begins, ends)
    event: Event = {"name": label, "cat": kind.value, "pid": process, "tid": track}
    event |= {"ts": begins, "args": arguments}
    if row.duration_s or kind in LASTING:
        return event | {"ph": "X", "dur": max(ends - begins, 0.0)}
    return event | {"ph": "i", "s": "t"}


def _ticked(seconds: float) -> float:
    """Microseconds, in whole ticks."""
    return round(float(seconds) * MICROSECONDS * TICKS) / TICKS


def _under_way(rows: pd.DataFrame, amounts: pd.Series, name: str) -> Iterator[Event]:
    """A sum over the transfers that are under way, whenever it changes; nothing if it is of 0s."""
    if not amounts.any():
        return
    changes: list[tuple[float, float]] = []
    for begins, lasts, amount in zip(rows["time_s"], rows["duration_s"], amounts, strict=True):
        changes += [(float(begins), amount), (float(begins + lasts), -amount)]
    heapq.heapify(changes)
    total, open_transfers = 0.0, 0
    while changes:
        time, change = heapq.heappop(changes)
        total += change
        open_transfers += 1 if change > 0 else -1 if change < 0 else 0
        # One value for all that happens at one time. What fractions leave of a sum is nothing.
        if not changes or changes[0][0] > time:
            yield _counter(time, name, total if open_transfers else 0.0)


def _capacities(rows: pd.DataFrame) -> pd.Series:
    """Capacity of the link of each transfer, B/s; 0 where no record tells."""
    values = (details_of(details).get("capacity", 0.0) for details in rows["details"])
    return pd.Series(list(values), index=rows.index, dtype=float)


def _counter(time: float, name: str, value: float) -> Event:
    return {
        "ph": "C",
        "name": name,
        "pid": SERVER_PROCESS,
        "tid": 0,
        "ts": time * MICROSECONDS,
        "args": {name: value},
    }


def _named(process: int, track: int | None, what: str, name: str) -> Event:
    event: Event = {"ph": "M", "name": what, "pid": process, "ts": 0, "args": {"name": name}}
    return event if track is None else event | {"tid": track}


def _write(timeline: Iterator[Event], file: TextIO) -> int:
    """An event a line, none of them kept: a run of a million records is written as it goes."""
    count = 0
    file.write('{"displayTimeUnit": "ms", "traceEvents": [\n')
    for event in timeline:
        file.write(",\n" if count else "")
        file.write(json.dumps(event, ensure_ascii=False))
        count += 1
    file.write("\n]}\n")
    return count
