"""Synchronous rounds: wait for everyone.

McMahan et al., AISTATS 2017, algorithm 1. The server samples a cohort, sends it the global adapter,
and waits until every client has answered or is known to be lost. The slowest decides the round.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from fsim.server.protocols.world import World


def synchronous(env: simpy.Environment, world: World) -> Generator[simpy.Event, Any, None]:
    """Run all rounds, one after another."""
    for round_number in range(1, world.rounds + 1):
        started = env.now
        cohort = [world.start(client, round_number) for client in world.select(round_number)]
        yield env.all_of(cohort)
        arrivals = [process.value for process in cohort if process.value is not None]
        world.close_round(round_number, started, arrivals)
