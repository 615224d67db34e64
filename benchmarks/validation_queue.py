"""Seconds of fsim beside seconds that were measured behind a FIFO that another upload fills."""

from __future__ import annotations

import json
import statistics
from collections.abc import Generator
from typing import Any

import simpy

from benchmarks.measurements import MBIT, Section, amount, grouped, read
from fsim.fleet import AlwaysOn, Link
from fsim.network import Capacity, Tcp
from fsim.network.transports.connection import Connection
from fsim.simulation.shared_links import SharedLinks
from fsim.simulation.transfer import Route

OWN = Capacity.constant(1000 * MBIT)
"""Each client's own link."""

BULK = 40_000_000
"""Payload bytes of the upload that fills the link."""

BEFORE = 1500
"""Payload bytes that a connection that is kept has carried before the bulk upload."""


def newcomer(
    rate: float, queue: float | None, control: str, size: int, start: float, kept: bool
) -> float:
    """Seconds of an upload that begins ``start`` seconds after a bulk upload, over one FIFO.

    Parameters
    ----------
    rate
        Bytes/s.
    queue
        Bytes.
    control
        Congestion control of the bulk upload.
    size
        Payload bytes.
    kept
        Whether it goes over a connection that was open before.
    """
    env = simpy.Environment()
    links = SharedLinks(env, [Capacity.constant(rate)], [queue])
    link, there, seconds = Link(OWN, 0.08, path=(0,)), AlwaysOn(), []

    def bulk() -> Generator[simpy.Event, Any, None]:
        yield env.timeout(1.0)
        route = Route(env, Tcp(congestion=control), "resume", links)  # type: ignore[arg-type]
        yield from route.transfer(BULK, link, there)

    def late() -> Generator[simpy.Event, Any, None]:
        route, connection = Route(env, Tcp(), "resume", links), Connection()
        if kept:
            yield from route.transfer(BEFORE, link, there, connection)
        yield env.timeout(1.0 + start - env.now)
        began = env.now
        yield from route.transfer(size, link, there, connection)
        seconds.append(env.now - began)

    env.process(bulk())
    env.run(env.process(late()))
    return seconds[0]


def queues() -> Section:
    """Uploads that begin behind a backlog."""
    section = Section(
        "Newcomers behind a bulk upload in one FIFO",
        "Uploads that begin 1, 3, 6 and 10 s after an upload without end over one FIFO, 80 ms; "
        "seconds until the last byte arrives, in the mean over these times: of the medians of 2 to "
        "5 runs, and of the least of them, in which most often no packet was dropped at the full "
        "queue. `tcp` with `queue`, which drops none of a newcomer's packets, is compared with the "
        "medians.",
        ("Mbit/s", "queue", "bulk", "connection", "payload", "median", "least", "`tcp`",
         "without `queue`"),
    )  # fmt: skip
    columns = (
        "rate_mbit", "queue_bytes", "bulk_congestion_control", "connection", "payload_bytes",
    )  # fmt: skip
    for key, rows in grouped(read("queue.csv"), columns).items():
        rate, queue, control, connection, size = key
        runs = [json.loads(row["seconds_by_run"]) for row in rows]
        measured = statistics.fmean(map(statistics.median, runs))
        starts = [float(row["start_s"]) for row in rows]
        found, plain = (
            statistics.fmean(
                newcomer(float(rate) * MBIT, fifo, control, int(size), start, connection == "kept")
                for start in starts
            )
            for fifo in (float(queue), None)
        )
        section.rows.append((
            rate, amount(queue), control, connection, amount(size), f"{measured:.3f}",
            f"{statistics.fmean(map(min, runs)):.3f}", section.compare(found, measured),
            f"{plain:.3f}",
        ))  # fmt: skip
    return section
