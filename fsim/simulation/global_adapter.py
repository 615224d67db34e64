"""The global adapter, which clients' updates move."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import simpy

from fsim.algorithms.base import AlgorithmState
from fsim.core.errors import NothingLeft
from fsim.core.types import Update
from fsim.records import Kind, Recorder
from fsim.server.aggregation import Aggregation, make_aggregation
from fsim.server.optimizers import ServerOptimizer, make_optimizer
from fsim.server.protocols.base import Aggregate, ClientUpdate, RoundUpdates
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
        Gives the rules of the server.
    initial
        The adapter to begin with.
    examples
        Client -> number of its training examples.
    accounts, recorder
        Count and record the end of each update.
    algorithm
        The scenario's, which follows the updates that enter.

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
        algorithm: AlgorithmState,
    ) -> None:
        self.value = initial
        self.version = 0
        self._env = env
        self._examples = examples
        self._accounts = accounts
        self._recorder = recorder
        self._aggregation: Aggregation = scenario.server.aggregation.make(make_aggregation)
        self._optimizer: ServerOptimizer = scenario.server.optimizer.make(make_optimizer)
        self._algorithm = algorithm
        self._screen = scenario.server.make_screen()
        self._waiting: dict[int, ClientUpdate] = {}

    def receive(self, arrival: ClientUpdate) -> None:
        """Hold an update until the protocol uses it or sets it aside."""
        self._waiting[id(arrival)] = arrival

    def close(self) -> int:
        """End the run; number of updates that nobody used. Unreadable ones count as rejected.

        A protocol may end at the very moment at which others answer.
        """
        unread = sum(arrival.update is None for arrival in self._waiting.values())
        self._accounts.rejected += unread
        return len(self._waiting) - unread

    def move(
        self,
        arrivals: Sequence[ClientUpdate],
        selected: Sequence[int],
        aggregate: Aggregate,
    ) -> int:
        """Aggregate what arrived; number of updates that entered. Without any the adapter stays."""
        updates, accepted = self._screened(arrivals)
        if updates:
            self._algorithm.accept(accepted)
            examples = [float(self._examples(client)) for client in selected] or None

            def mean(scales: Sequence[float] | None) -> Update:
                return self._algorithm.mean(
                    self._aggregation, updates, accepted, selected=examples, scales=scales
                )

            self.value = aggregate(
                RoundUpdates(
                    adapter=self.value,
                    version=self.version,
                    updates=updates,
                    arrivals=accepted,
                    mean=mean,
                    step=self._optimizer.step,
                )
            )
        return self._moved(updates)

    def set_aside(self, arrivals: Sequence[ClientUpdate]) -> None:
        """Count updates that came too late, and forget them."""
        for arrival in arrivals:
            self._waiting.pop(id(arrival), None)
            if arrival.update is None:
                self._accounts.rejected += 1
            else:
                self._accounts.late += 1
                self._record(Kind.LATE, arrival)

    def _screened(
        self, arrivals: Sequence[ClientUpdate]
    ) -> tuple[list[Update], list[ClientUpdate]]:
        """Updates that may be aggregated, and the arrivals that brought them."""
        updates, accepted = [], []
        for arrival in arrivals:
            self._waiting.pop(id(arrival), None)
            if arrival.update is None:
                self._accounts.rejected += 1
                continue
            rejection = self._screen.check(arrival.update)
            if rejection is None and not math.isfinite(norm(arrival.companion or {})):
                rejection = Rejection("not-finite", "what came beside it is not finite")
            if rejection is not None:
                self._accounts.rejected += 1
                self._record(Kind.REJECTED, arrival, rejection.reason)
                continue
            updates.append(self._screen.accept(arrival.update))
            accepted.append(arrival)
        self._accounts.aggregated += len(accepted)
        return updates, accepted

    def _moved(self, updates: Sequence[Update]) -> int:
        """Number the new version; number of updates that entered.

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

    def _record(self, kind: Kind, arrival: ClientUpdate, reason: str | None = None) -> None:
        details = None if reason is None else {"reason": reason}
        self._recorder.record(
            kind, self._env.now, 0.0, arrival.client, self.version + 1, details=details
        )
