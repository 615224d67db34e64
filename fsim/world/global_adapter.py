"""The global adapter, and how what clients sent moves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import simpy

from fsim.results.records import Kind, Recorder
from fsim.server.aggregation import Aggregation, add, fedat_weights, make_aggregation, weighted_sum
from fsim.server.optimizers import ServerOptimizer, make_optimizer
from fsim.server.protocols.world import Arrival
from fsim.settings import Scenario
from fsim.vocabulary import Update
from fsim.world.accounts import Accounts


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
        accounts: Accounts,
        recorder: Recorder,
    ) -> None:
        self.value = initial
        self.version = 0
        self._env = env
        self._examples = examples
        self._accounts = accounts
        self._recorder = recorder
        self._aggregation: Aggregation = scenario.server.aggregation.make(make_aggregation)
        self._optimizer: ServerOptimizer = scenario.server.optimizer.make(make_optimizer)
        self._screen = scenario.server.make_screen()
        self._tiers: list[tuple[int, Update]] = []

    def move(
        self, arrivals: Sequence[Arrival], selected: Sequence[int], scales: Sequence[float] | None
    ) -> int:
        """Aggregate what arrived; how many updates entered. Without any nothing changes."""
        updates, kept = self._screened(arrivals)
        if updates:
            mean = self._combine(updates, kept, selected, scales)
            self.value = add(self.value, self._optimizer.step(mean))
        self.version += 1
        return len(updates)

    def begin_tiers(self, count: int) -> None:
        """Every tier begins with the adapter as it is."""
        self._tiers = [(0, self.value) for _ in range(count)]

    def mix_tiers(self, tier: int, arrivals: Sequence[Arrival], selected: Sequence[int]) -> int:
        """Aggregate within a tier, then the tiers, as FedAT does; how many updates entered.

        A tier without arrivals keeps its adapter. Until every tier has had a round, each counts as
        having had one: with the paper's counts, the fastest tier would weigh nothing before the
        slowest is through.
        """
        updates, kept = self._screened(arrivals)
        if updates:
            count, _ = self._tiers[tier]
            base = kept[0].base
            if base is None:
                raise ValueError("an arrival has to say which adapter it began with")
            mean = self._combine(updates, kept, selected, None)
            self._tiers[tier] = count + 1, add(base, mean)
            weights = fedat_weights([count for count, _ in self._tiers], prior=1.0)
            self.value = weighted_sum([adapter for _, adapter in self._tiers], weights)
        self.version += 1
        return len(updates)

    def set_aside(self, arrivals: Sequence[Arrival]) -> None:
        """Count updates that came too late, and forget them."""
        for arrival in arrivals:
            if arrival.update is None:
                self._accounts.rejected += 1
            else:
                self._accounts.late += 1
                self._tell(Kind.LATE, arrival)

    def _screened(self, arrivals: Sequence[Arrival]) -> tuple[list[Update], list[Arrival]]:
        """Updates that may be aggregated, and whose they are."""
        updates, kept = [], []
        for arrival in arrivals:
            if arrival.update is None:
                self._accounts.rejected += 1
                continue
            rejection = self._screen.check(arrival.update)
            if rejection is not None:
                self._accounts.rejected += 1
                self._tell(Kind.REJECTED, arrival, rejection.reason)
                continue
            updates.append(self._screen.accept(arrival.update))
            kept.append(arrival)
        self._accounts.aggregated += len(kept)
        return updates, kept

    def _combine(
        self,
        updates: Sequence[Update],
        kept: Sequence[Arrival],
        selected: Sequence[int],
        scales: Sequence[float] | None,
    ) -> Update:
        return self._aggregation.combine(
            updates,
            [arrival.weight for arrival in kept],
            selected=[float(self._examples(client)) for client in selected] or None,
            scales=scales,
        )

    def _tell(self, kind: Kind, arrival: Arrival, reason: str | None = None) -> None:
        details = None if reason is None else {"reason": reason}
        self._recorder.record(
            kind, self._env.now, 0.0, arrival.client, self.version + 1, details=details
        )
