"""Rounds that close at a deadline: over-select, and do not wait for stragglers.

Bonawitz et al., "Towards Federated Learning at Scale: System Design", MLSys 2019, section 2.2: the
server asks more clients than it needs (130% there), aggregates as soon as it has enough or the
reporting window is over, and abandons a round in which too few reported. Late updates are thrown
away, or, by option, kept for the next round.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import simpy
from typing_extensions import override

from fsim.core.quantities import Duration
from fsim.server.protocols.base import ClientResult, ClientUpdate, Inbox, RoundProtocol, World


@dataclass(frozen=True)
class Deadline(RoundProtocol):
    """Ask more clients than needed; close when enough answered or time is up.

    Attributes
    ----------
    over_selection
        How many times ``clients_per_round`` are asked, 1 or more.
    after
        The reporting window: a duration from the moment of asking. None for no limit, or where
        ``quantile`` sets it.
    quantile
        Of the durations of answers in the last ``window`` rounds, which becomes the next window; in
        (0, 1]. The first round, which has none before it, has ``after``.
    window
        Rounds that the quantile looks back.
    late
        What becomes of an update after the round has closed: ``"discard"`` or ``"keep"`` for the
        round that is then open.
    minimum
        Answers below which the round is abandoned: nothing is aggregated.
    """

    name: ClassVar[str] = "deadline"
    cohort_condition: ClassVar[str | None] = "with late: discard"

    over_selection: float = 1.3
    after: Duration | None = None
    quantile: float | None = None
    window: int = 5
    late: Literal["discard", "keep"] = "discard"
    minimum: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.over_selection < math.inf:
            raise ValueError(f"over_selection: found {self.over_selection}, allowed is 1 or more")
        if self.quantile is not None and not 0 < self.quantile <= 1:
            raise ValueError(f"quantile: found {self.quantile}, allowed is above 0 and at most 1")
        if self.after is not None and self.after <= 0:
            raise ValueError(f"after: found {self.after:g} s, allowed is more than 0 s")
        if self.window < 1 or self.minimum < 1:
            raise ValueError("window, minimum: allowed is 1 or more")

    @override
    def check(self, clients: int, clients_per_round: int) -> None:
        super().check(clients, clients_per_round)
        if (size := self._cohort_size(clients_per_round)) > clients:
            raise ValueError(
                f"protocol.over_selection: found {self.over_selection:g}, which asks {size} with "
                f"protocol.clients_per_round: {clients_per_round}; the fleet has {clients} "
                "(fleet.clients)"
            )
        if self.minimum > clients_per_round:
            raise ValueError(
                f"protocol.minimum: found {self.minimum}, more than protocol.clients_per_round, "
                f"{clients_per_round}"
            )

    @property
    def in_its_round(self) -> bool:
        """True if late updates are thrown away."""
        return self.late == "discard"

    @property
    def first_deadline(self) -> float | None:
        """That of the first round, where late updates are thrown away."""
        return self.after if self.late == "discard" else None

    def run(self, env: simpy.Environment, world: World) -> Generator[simpy.Event, Any, None]:
        """Run all rounds, one after another; stragglers go on beside the next."""
        inbox, durations = Inbox(env), deque[list[float]](maxlen=self.window)
        for round_number in range(1, world.rounds + 1):
            started = env.now
            yield from world.wait_for_client()
            cohort = world.select(round_number, self._cohort_size(world.clients_per_round))
            for client in cohort:
                inbox.watch(world.start(client, round_number))
            closes = env.now + self._reporting_window(durations)
            arrivals = yield from self._collect(env, world, inbox, round_number, cohort, closes)
            durations.append([arrival.seconds for arrival in arrivals])
            if len(arrivals) < self.minimum:
                world.set_aside(arrivals)
                arrivals = []
            world.close_round(round_number, started, arrivals, selected=cohort)
            if world.stopped():
                return

    def _collect(
        self,
        env: simpy.Environment,
        world: World,
        inbox: Inbox,
        round_number: int,
        cohort: Sequence[int],
        closes: float,
    ) -> Generator[simpy.Event, Any, list[ClientUpdate]]:
        """Answers until there are enough, everyone has been heard of, or time is up."""
        arrivals: list[ClientUpdate] = []
        enough, outstanding = min(world.clients_per_round, len(cohort)), set(cohort)
        alarm = env.timeout(closes - env.now) if closes < math.inf else None
        while outstanding and len(arrivals) < enough:
            came = inbox.next()
            yield came if alarm is None else came | alarm
            if not came.processed:
                break
            answer: ClientResult = came.value
            mine = answer.round_number == round_number
            if mine:
                outstanding.discard(answer.client)
            arrival = answer.arrival
            if arrival is None:
                continue
            late = world.is_late(arrival, closes) if mine else self.late == "discard"
            # What cannot be used is none of the answers that the round needs.
            if late or arrival.update is None:
                world.set_aside([arrival])
            else:
                arrivals.append(arrival)
        return arrivals

    def _cohort_size(self, clients_per_round: int) -> int:
        return math.ceil(round(self.over_selection * clients_per_round, 9))

    def _reporting_window(self, durations: deque[list[float]]) -> float:
        recent = [seconds for answers in durations for seconds in answers]
        if self.quantile is not None and recent:
            return float(np.quantile(recent, self.quantile))
        return math.inf if self.after is None else self.after
