"""Round protocols: when the server stops waiting. One module a protocol."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import simpy

from fsim.server.protocols.synchronous import synchronous
from fsim.server.protocols.world import World


@dataclass(frozen=True)
class ProtocolEntry:
    """A protocol as the registry lists it."""

    name: str
    summary: str
    run: Callable[[simpy.Environment, World], Generator[simpy.Event, Any, None]]


PROTOCOLS: dict[str, ProtocolEntry] = {
    entry.name: entry
    for entry in (
        ProtocolEntry(
            "synchronous",
            "sample a cohort, wait for all that did not drop out, average (FedAvg)",
            synchronous,
        ),
    )
}
