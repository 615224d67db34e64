"""Synchronous rounds: wait for everyone.

McMahan et al., AISTATS 2017, algorithm 1. The server samples a cohort, sends it the global adapter,
and waits until every client has answered or is known to be lost. The slowest decides the round.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import simpy

from fsim.server.protocols.base import RoundProtocol, World, arrivals_of


@dataclass(frozen=True)
class Synchronous(RoundProtocol):
    """Sample a cohort, wait for all that did not drop out, average (FedAvg)."""

    name: ClassVar[str] = "synchronous"
    timeless: ClassVar[bool] = True
    cohort_condition: ClassVar[str | None] = ""

    @property
    def in_its_round(self) -> bool:
        """Always."""
        return True

    def run(self, env: simpy.Environment, world: World) -> Generator[simpy.Event, Any, None]:
        """Run all rounds, one after another."""
        for round_number in range(1, world.rounds + 1):
            started = env.now
            yield from world.wait_for_client()
            cohort = world.select(round_number, world.clients_per_round)
            processes = [world.start(client, round_number) for client in cohort]
            yield env.all_of(processes)
            world.close_round(round_number, started, arrivals_of(processes), selected=cohort)
            if world.stopped():
                return
