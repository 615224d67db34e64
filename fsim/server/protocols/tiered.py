"""Tiers: clients of like speed in synchronous groups, the groups asynchronous to each other.

Chai et al., "FedAT: A High-Performance and Communication-Efficient Federated Learning System with
Asynchronous Tiers", SC 2021, algorithm 1. Clients are grouped by how long a round is expected to
take them; each tier runs synchronous rounds of its own, and after each the global adapter becomes
the weighted mean of the tiers' adapters.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import simpy
from typing_extensions import override

from fsim.core.types import Update
from fsim.server.aggregation import add, weighted_sum
from fsim.server.protocols.base import RoundProtocol, RoundUpdates, World, arrivals_of, base_of


@dataclass(frozen=True)
class Tiered(RoundProtocol):
    """Group clients by speed; each group runs rounds of its own.

    Attributes
    ----------
    tiers
        Groups, as equal in number of clients as can be; 2 or more. Each round of a tier asks
        ``clients_per_round`` of its clients, or all that it has.
    """

    name: ClassVar[str] = "tiered"
    uses_optimizer: ClassVar[bool] = False
    cohort_condition: ClassVar[str | None] = ""

    tiers: int = 3

    def __post_init__(self) -> None:
        if self.tiers < 2:
            raise ValueError(f"tiers: found {self.tiers}, allowed is 2 or more")

    @property
    def of_its_cohort(self) -> bool:
        """True: a tier waits for all that it asked."""
        return True

    @override
    def check(self, clients: int, clients_per_round: int) -> None:
        super().check(clients, clients_per_round)
        if self.tiers > clients:
            raise ValueError(
                f"protocol.tiers: found {self.tiers}, the fleet has {clients} (fleet.clients)"
            )

    def run(self, env: simpy.Environment, world: World) -> Generator[simpy.Event, Any, None]:
        """Run all tiers side by side until all updates of the global adapter are made."""
        finished = env.event()
        groups = np.array_split(np.array(world.clients_by_speed()), self.tiers)
        tiers = [Tier(sorted(group.tolist()), world.adapter) for group in groups]
        for tier in tiers:
            env.process(self._rounds(env, world, tier, tiers, finished))
        yield finished

    def _rounds(
        self,
        env: simpy.Environment,
        world: World,
        tier: Tier,
        tiers: Sequence[Tier],
        finished: simpy.Event,
    ) -> Generator[simpy.Event, Any, None]:
        while True:
            started = env.now
            yield from world.wait_for_client(tier.clients)
            cohort = world.select(world.version + 1, world.clients_per_round, tier.clients)
            processes = [world.start(client, world.version + 1) for client in cohort]
            yield env.all_of(processes)
            if finished.triggered:
                return
            world.close_round(
                world.version + 1,
                started,
                arrivals_of(processes),
                selected=cohort,
                aggregate=lambda updates: aggregate(updates, tier, tiers),
            )
            if world.version >= world.rounds or world.stopped():
                finished.succeed()
                return


@dataclass
class Tier:
    """Clients of like speed.

    Attributes
    ----------
    clients
        In ascending order.
    adapter
        Theirs; the global one to begin with.
    rounds
        That changed it.
    """

    clients: Sequence[int]
    adapter: Update
    rounds: int = 0


def aggregate(updates: RoundUpdates, tier: Tier, tiers: Sequence[Tier]) -> Update:
    """Aggregate within a tier, then the tiers, the fastest first, as FedAT does.

    A tier without updates keeps its adapter. Until every tier has had a round, each counts as
    having had one: with the paper's counts, the fastest tier would weigh nothing before the slowest
    is through.
    """
    tier.adapter = add(base_of(updates.arrivals[0]), updates.mean(None))
    tier.rounds += 1
    weights = fedat_weights([each.rounds for each in tiers], prior=1.0)
    return weighted_sum([each.adapter for each in tiers], weights)


def fedat_weights(updates_by_tier: Sequence[int], prior: float = 0.0) -> list[float]:
    """The weight of each tier's adapter in the global one: tiers that update less weigh more.

    Chai et al., "FedAT: A High-Performance and Communication-Efficient Federated Learning System
    with Asynchronous Tiers", SC 2021, section 4: tier m of M, in the order of speed, has the weight
    ``T_(M+1-m) / T``: the count of the tier opposite over the count of all. The global adapter is
    the mean of the tiers' adapters (not of their deltas) with these weights.

    Parameters
    ----------
    updates_by_tier
        How often each tier has updated, the fastest tier first.
    prior
        Added to each count. With the paper's 0, the fastest tier weighs nothing until the slowest
        has updated once.

    Returns
    -------
    list of float
        Of sum 1.

    Raises
    ------
    ValueError
        No tier, a negative count or prior, or nothing but zeros.
    """
    counts = [count + prior for count in reversed(updates_by_tier)]
    total = float(sum(counts))
    if not (counts and min(counts) >= 0 and prior >= 0 and 0 < total < np.inf):
        raise ValueError("updates_by_tier: allowed are counts of 0 or more, not all 0")
    return [count / total for count in counts]
