"""Asynchronous rounds with a buffer: aggregate every K updates, whoever sends them.

Nguyen et al., "Federated Learning with Buffered Asynchronous Aggregation" (FedBuff), AISTATS 2022,
algorithm 1. A fixed number of clients train at a time; as soon as one answers, another is started
from the adapter of that moment. With K = 1 and adapters mixed instead of deltas added it is Xie et
al., "Asynchronous Federated Optimization" (FedAsync), 2019, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import simpy
from typing_extensions import override

from fsim.core.registry import choose, parse_choice
from fsim.core.types import Update
from fsim.server.aggregation import add, fedasync
from fsim.server.protocols.base import (
    ClientResult,
    ClientUpdate,
    Inbox,
    RoundProtocol,
    RoundUpdates,
    World,
    base_of,
)
from fsim.server.staleness import STALENESS, Staleness


@dataclass(frozen=True)
class Buffered(RoundProtocol):
    """Keep ``clients_per_round`` clients at work; aggregate every ``buffer`` updates.

    Attributes
    ----------
    buffer
        K, updates that make one update of the global adapter; 1 or more.
    staleness
        How an update from an older adapter is scaled down, as NAME or NAME:OPTION=VALUE:
        ``constant``, ``polynomial`` or ``hinge``.
    max_staleness
        Updates older than that are thrown away; None keeps all.
    refill
        When a client that is through is replaced: at its ``"arrival"``, as in FedBuff, or at the
        next ``"aggregation"``. With the latter and a buffer of ``clients_per_round`` the rounds are
        synchronous ones.
    """

    name: ClassVar[str] = "buffered"

    buffer: int = 10
    staleness: str = "polynomial"
    max_staleness: int | None = None
    refill: Literal["arrival", "aggregation"] = "arrival"
    _scale: Staleness = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.buffer < 1:
            raise ValueError(f"buffer: found {self.buffer}, allowed is 1 or more")
        if self.max_staleness is not None and self.max_staleness < 0:
            raise ValueError(f"max_staleness: found {self.max_staleness}, allowed is 0 or more")
        scale = choose("staleness", STALENESS, *parse_choice("staleness", self.staleness))
        object.__setattr__(self, "_scale", scale)

    @property
    def averages(self) -> bool:
        """With a buffer of more than one."""
        return self.buffer > 1

    @override
    def check(self, clients: int, clients_per_round: int) -> None:
        super().check(clients, clients_per_round)
        if self.buffer > clients_per_round:
            raise ValueError(
                f"protocol.buffer: found {self.buffer}, more than the clients at work at a time, "
                f"protocol.clients_per_round: {clients_per_round}"
            )

    def run(self, env: simpy.Environment, world: World) -> Generator[simpy.Event, Any, None]:
        """Run until all updates of the global adapter are made."""
        inbox = Inbox(env)
        room, at_work = world.clients_per_round, 0
        buffer: list[ClientUpdate] = []
        cohort: list[int] = []
        started, steps = env.now, 0
        while steps < world.rounds:
            if room:
                if not at_work:
                    yield from world.wait_for_client()
                clients = world.select(steps + 1, room)
                for client in clients:
                    inbox.watch(world.start(client, steps + 1))
                cohort += clients
                room -= len(clients)
                at_work += len(clients)
            answer: ClientResult = yield inbox.next()
            at_work -= 1
            admitted = [] if answer.arrival is None else self._admit(world, answer.arrival)
            buffer += admitted
            if self.refill == "arrival" or not admitted:
                room += 1
            if len(buffer) < self.buffer and (at_work or room):
                continue
            steps += 1
            world.close_round(steps, started, buffer, selected=cohort, aggregate=self.aggregate)
            if self.refill == "aggregation":
                room += len(buffer)
            buffer, started, cohort = [], env.now, []
            if world.stopped():
                return

    def aggregate(self, updates: RoundUpdates) -> Update:
        """Move the global adapter by the server's step along the mean, each scaled by its age."""
        return add(updates.adapter, updates.step(updates.mean(self.scales(updates))))

    def scales(self, updates: RoundUpdates) -> list[float]:
        """The weight of each update by its age, in updates of the global adapter."""
        return [self._scale.weight(updates.version - each.version) for each in updates.arrivals]

    def _admit(self, world: World, arrival: ClientUpdate) -> list[ClientUpdate]:
        age = world.version - arrival.version
        too_old = self.max_staleness is not None and age > self.max_staleness
        if arrival.update is None or too_old:
            world.set_aside([arrival])
            return []
        return [arrival]


@dataclass(frozen=True)
class Asynchronous(Buffered):
    """Every update is aggregated as it comes: a buffer of one.

    Attributes
    ----------
    mixing
        ``alpha`` of FedAsync, above 0 and at most 1: the global adapter becomes ``(1 - a) x + a
        x_c``, with ``a`` this times the staleness weight and ``x_c`` what the client arrived at.
        None adds the client's update times its staleness weight, as FedBuff does.
    """

    name: ClassVar[str] = "asynchronous"

    buffer: int = 1
    mixing: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.buffer != 1:
            raise ValueError(f"buffer: found {self.buffer}, allowed is 1; more is kind: buffered")
        if self.mixing is not None and not 0 < self.mixing <= 1:
            raise ValueError(f"mixing: found {self.mixing}, allowed is above 0 and at most 1")

    def aggregate(self, updates: RoundUpdates) -> Update:
        """Mix what each client arrived at into the adapter, as FedAsync does, or add it.

        What an adapter is moved by goes through the server's optimiser, as every mean update does.
        """
        if self.mixing is None:
            return super().aggregate(updates)
        adapter = updates.adapter
        whole = zip(updates.updates, updates.arrivals, self.scales(updates), strict=True)
        for update, arrival, scale in whole:
            step = fedasync(adapter, base_of(arrival), update, self.mixing * scale)
            if arrival.coverage is not None:
                # What the client arrived at is not known there.
                step = {name: step[name] * arrived for name, arrived in arrival.coverage.items()}
            adapter = add(adapter, updates.step(step))
        return adapter
