"""The global adapter, and how what clients sent moves it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import simpy

from fsim.algorithms.controls import Controls
from fsim.algorithms.corrections import FedNova, fednova, fednova_norm, make_correction
from fsim.core.errors import NothingLeft
from fsim.core.types import Update
from fsim.records import Kind, Recorder
from fsim.server.aggregation import (
    Aggregation,
    WeightedMean,
    add,
    fedasync,
    fedat_weights,
    make_aggregation,
    weighted_sum,
)
from fsim.server.optimizers import ServerOptimizer, make_optimizer
from fsim.server.protocols.base import ClientUpdate
from fsim.server.screening import Rejection, norm
from fsim.settings import Scenario
from fsim.simulation.client_counts import ClientCounts


class GlobalAdapter:
    """Screens updates, aggregates them, and takes the server optimiser's step.

    Parameters
    ----------
    env
        The clock.
    scenario
        What rules the server goes by.
    initial
        The adapter to begin with.
    examples
        Client -> number of its training examples.
    accounts, recorder
        Where what became of each update is told.
    controls
        SCAFFOLD's control variates, which follow the updates that entered.

    Attributes
    ----------
    value
        The adapter as it is.
    version
        Updates made so far.
    """

    def __init__(
        self,
        env: simpy.Environment,
        scenario: Scenario,
        initial: Update,
        examples: Callable[[int], int],
        accounts: ClientCounts,
        recorder: Recorder,
        controls: Controls | None = None,
    ) -> None:
        self.value = initial
        self.version = 0
        self._env = env
        self._examples = examples
        self._accounts = accounts
        self._recorder = recorder
        self._aggregation: Aggregation = scenario.server.aggregation.make(make_aggregation)
        self._optimizer: ServerOptimizer = scenario.server.optimizer.make(make_optimizer)
        self._normalised = isinstance(scenario.server.correction.make(make_correction), FedNova)
        self._controls = controls
        self._screen = scenario.server.make_screen()
        self._tiers: list[tuple[int, Update]] = []
        self._waiting: dict[int, ClientUpdate] = {}

    def receive(self, arrival: ClientUpdate) -> None:
        """An update is there, and waits for the protocol to use it or to set it aside."""
        self._waiting[id(arrival)] = arrival

    def close(self) -> int:
        """The run is over: updates that nobody used. Those that cannot be used count as rejected.

        A protocol may end at the very moment at which others answer.
        """
        unread = sum(arrival.update is None for arrival in self._waiting.values())
        self._accounts.rejected += unread
        return len(self._waiting) - unread

    def move(
        self,
        arrivals: Sequence[ClientUpdate],
        selected: Sequence[int],
        scales: Sequence[float] | None,
    ) -> int:
        """Aggregate what arrived; how many updates entered. Without any nothing changes."""
        updates, kept = self._screened(arrivals)
        if updates:
            mean = self._combine(updates, kept, selected, _of(kept, arrivals, scales))
            self.value = add(self.value, self._optimizer.step(mean))
            if self._controls is not None:
                self._controls.accept(kept)
        return self._moved(updates)

    def mix_adapters(self, arrivals: Sequence[ClientUpdate], mixing: Sequence[float]) -> int:
        """Mix what each client arrived at into the adapter; how many updates entered.

        What an adapter is moved by goes through the server's optimiser, as every mean update does.
        """
        updates, kept = self._screened(arrivals)
        shares = _of(kept, arrivals, mixing) or []
        for update, arrival, share in zip(updates, kept, shares, strict=True):
            step = fedasync(self.value, _base_of(arrival), update, share)
            self.value = add(self.value, self._optimizer.step(step))
        return self._moved(updates)

    def begin_tiers(self, count: int) -> None:
        """Every tier begins with the adapter as it is."""
        self._tiers = [(0, self.value) for _ in range(count)]

    def mix_tiers(
        self, tier: int, arrivals: Sequence[ClientUpdate], selected: Sequence[int]
    ) -> int:
        """Aggregate within a tier, then the tiers, as FedAT does; how many updates entered.

        A tier without arrivals keeps its adapter. Until every tier has had a round, each counts as
        having had one: with the paper's counts, the fastest tier would weigh nothing before the
        slowest is through.
        """
        updates, kept = self._screened(arrivals)
        if updates:
            count, _ = self._tiers[tier]
            mean = self._combine(updates, kept, selected, None)
            self._tiers[tier] = count + 1, add(_base_of(kept[0]), mean)
            weights = fedat_weights([count for count, _ in self._tiers], prior=1.0)
            self.value = weighted_sum([adapter for _, adapter in self._tiers], weights)
        return self._moved(updates)

    def set_aside(self, arrivals: Sequence[ClientUpdate]) -> None:
        """Count updates that came too late, and forget them."""
        for arrival in arrivals:
            self._waiting.pop(id(arrival), None)
            if arrival.update is None:
                self._accounts.rejected += 1
            else:
                self._accounts.late += 1
                self._tell(Kind.LATE, arrival)

    def _screened(
        self, arrivals: Sequence[ClientUpdate]
    ) -> tuple[list[Update], list[ClientUpdate]]:
        """Updates that may be aggregated, and whose they are."""
        updates, kept = [], []
        for arrival in arrivals:
            self._waiting.pop(id(arrival), None)
            if arrival.update is None:
                self._accounts.rejected += 1
                continue
            rejection = self._screen.check(arrival.update)
            if rejection is None and not math.isfinite(norm(arrival.control or {})):
                rejection = Rejection("not-finite", "its control variate is not finite")
            if rejection is not None:
                self._accounts.rejected += 1
                self._tell(Kind.REJECTED, arrival, rejection.reason)
                continue
            updates.append(self._screen.accept(arrival.update))
            kept.append(arrival)
        self._accounts.aggregated += len(kept)
        return updates, kept

    def _moved(self, updates: Sequence[Update]) -> int:
        """A version is made; how many updates entered.

        Raises
        ------
        NothingLeft
            The adapter is not finite any more, so that nobody can train from it.
        """
        self.version += 1
        if updates and not all(np.isfinite(values).all() for values in self.value.values()):
            raise NothingLeft(
                f"the global adapter is not finite after update {self.version} (server.optimizer, "
                "training.learning_rate)"
            )
        return len(updates)

    def _combine(
        self,
        updates: Sequence[Update],
        kept: Sequence[ClientUpdate],
        selected: Sequence[int],
        scales: Sequence[float] | None,
    ) -> Update:
        examples = [arrival.weight for arrival in kept]
        asked = [float(self._examples(client)) for client in selected] or None
        if self._normalised and isinstance(self._aggregation, WeightedMean):
            weights, total = self._aggregation.weigh(examples, asked)
            norms = [fednova_norm(arrival.steps) for arrival in kept]
            return fednova(updates, weights, norms, scales=scales, denominator=total)
        return self._aggregation.combine(updates, examples, selected=asked, scales=scales)

    def _tell(self, kind: Kind, arrival: ClientUpdate, reason: str | None = None) -> None:
        details = None if reason is None else {"reason": reason}
        self._recorder.record(
            kind, self._env.now, 0.0, arrival.client, self.version + 1, details=details
        )


def _of(
    kept: Sequence[ClientUpdate], arrivals: Sequence[ClientUpdate], scales: Sequence[float] | None
) -> list[float] | None:
    """The scales of those arrivals that were kept."""
    if scales is None:
        return None
    by_arrival = {id(arrival): scale for arrival, scale in zip(arrivals, scales, strict=True)}
    return [by_arrival[id(arrival)] for arrival in kept]


def _base_of(arrival: ClientUpdate) -> Update:
    if arrival.base is None:
        raise ValueError("an arrival has to say which adapter it began with")
    return arrival.base
