"""The world of a run: clients, model and settings, as a round protocol sees them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import simpy

from fsim.assembly import (
    build_energy,
    build_population,
    build_shared_links,
)
from fsim.compression import EncodingContext, make_policy
from fsim.errors import NothingLeft
from fsim.fleet import batteries
from fsim.results.records import SERVER, Kind, Recorder
from fsim.scenario import LoadedScenario
from fsim.server.aggregation import Aggregation, add, fedat_weights, make_aggregation, weighted_sum
from fsim.server.optimizers import ServerOptimizer, make_optimizer
from fsim.server.protocols.world import Answer, Arrival
from fsim.server.selection import Selector, make_selector
from fsim.settings.fleet import AlwaysSettings, DropoutSettings
from fsim.streams import stream
from fsim.trackers import Told, Tracker
from fsim.vocabulary import Update
from fsim.world.accounts import Accounts
from fsim.world.broadcast import Broadcast
from fsim.world.client import Billing, ClientRound, Surroundings
from fsim.world.failures import PayloadFailures, ServerUptime
from fsim.world.idle import Idle
from fsim.world.learner import Learner
from fsim.world.medium import Medium
from fsim.world.parcel import Parcels
from fsim.world.progress import Progress
from fsim.world.transfer import Route


class SimulatedWorld:
    """The world as a round protocol sees it (:class:`fsim.server.protocols.world.World`)."""

    def __init__(
        self,
        loaded: LoadedScenario,
        learner: Learner,
        on_progress: Callable[[Progress], None] | None = None,
        tracker: Tracker | None = None,
    ) -> None:
        scenario = self._scenario = loaded.scenario
        self._on_progress = on_progress
        self._tracker = tracker or Told(())
        self.rounds = scenario.protocol.rounds
        self.clients_per_round = scenario.protocol.clients_per_round
        self.version = 0
        self.accounts = Accounts()
        self.env = simpy.Environment()
        self.recorder = Recorder()
        self._population = build_population(loaded)
        self._learner = learner
        self.adapter = learner.initial
        self._memories: dict[int, dict[str, Any]] = {}
        uplink, downlink = self._routes()
        billing = self._make_billing()
        self._around = Surroundings(
            env=self.env,
            uplink=uplink,
            downlink=downlink,
            learner=learner,
            parcels=Parcels(scenario.compression.make(), uplink.transport, learner.recent),
            recorder=self.recorder,
            energy=build_energy(scenario),
            billing=billing,
            dropout_timeout=scenario.protocol.dropout_timeout,
            uptime=ServerUptime(scenario.server.crashes),
            failures=PayloadFailures(scenario.seed, scenario.failures),
            upload_seconds=scenario.compression.upload_seconds,
        )
        self._broadcast = Broadcast(
            scenario.server.downlink_policy.make(make_policy),
            scenario.server.downlink,
            learner.layout,
            scenario.seed,
        )
        self._aggregation: Aggregation = scenario.server.aggregation.make(make_aggregation)
        self._optimizer: ServerOptimizer = scenario.server.optimizer.make(make_optimizer)
        self._screen = scenario.server.make_screen()
        self._selector: Selector = scenario.protocol.selection.make(make_selector)
        for client in range(scenario.fleet.clients):
            self._selector.register(client, examples=learner.examples(client))
        self._idle = Idle(scenario.fleet.clients)
        self._someone_is_through = self.env.event()
        self._tiers: list[tuple[int, Update]] = []
        self._accuracy = 0.0
        self._choices: dict[int, int] = {}
        self._anyone = scenario.protocol.ask == "all" or isinstance(
            scenario.fleet.availability, AlwaysSettings | DropoutSettings
        )
        self._billing = billing

    @property
    def facts(self) -> dict[str, Any]:
        """About model, data and what became of everyone, for the summary."""
        return {
            **self._learner.facts,
            "billed_bytes_factor": self._billing.bytes_factor,
            "billed_operations_factor": self._billing.operations_factor,
            "accounts": self.accounts.as_dict(),
            "batteries_j": {str(c): j for c, j in batteries(self._population.drawn).items()},
            **self._learner.final_facts(),
        }

    def _routes(self) -> tuple[Route, Route]:
        """How bytes travel up and down."""
        transport = self._scenario.transport.make()
        up, down = (
            Route(
                self.env,
                transport,
                self._scenario.fleet.when_away,
                Medium(self.env, links) if links else None,
            )
            for links in build_shared_links(self._scenario)
        )
        return up, down

    def _make_billing(self) -> Billing:
        wanted, own = self._scenario.billing, self._learner
        return Billing(
            (wanted.adapter_parameters or own.layout.size) / own.layout.size,
            (wanted.model_parameters or own.parameters) / own.parameters,
        )

    def stopped(self) -> bool:
        """See :class:`fsim.server.protocols.world.World`."""
        stop = self._scenario.protocol.stop
        return (
            (stop.at_target and self._accuracy >= self._scenario.target.value)
            or (stop.after is not None and self.env.now >= stop.after)
            or (stop.uplink is not None and self.recorder.uplink_bytes >= stop.uplink)
        )

    def select(
        self, round_number: int, count: int, among: Sequence[int] | None = None
    ) -> list[int]:
        """By the scenario's rule, from a stream of this choice alone."""
        rng = stream(self._scenario.seed, "server.selection", *self._choice_keys(round_number))
        return self._selector.select(round_number, self._available(among), count, rng)

    def someone(self, among: Sequence[int] | None = None) -> Generator[simpy.Event, Any, None]:
        """See :class:`fsim.server.protocols.world.World`.

        Raises
        ------
        NothingLeft
            Nobody is at work and nobody will come.
        """
        env = self.env
        while True:
            if (back := self._around.uptime.back_at(env.now)) > env.now:
                yield env.timeout(back - env.now)
            if self._available(among):
                return
            idle = self._idle if among is None else [c for c in among if c in self._idle]
            comes = min(
                (self._population[client].availability.next_available(env.now) for client in idle),
                default=math.inf,
            )
            if math.isinf(comes) and not self._idle.busy:
                raise NothingLeft("no client is at work and none will ever be available again")
            waits = [self._someone_is_through]
            if comes < math.inf:
                waits.append(env.timeout(comes - env.now))
            yield env.any_of(waits)

    def tiers(self, count: int) -> list[list[int]]:
        """By device and mean rates, as far as they can be known beforehand."""
        order = sorted(range(len(self._population)), key=self._expected_seconds)
        groups = np.array_split(np.array(order), count)
        self._tiers = [(0, self.adapter) for _ in groups]
        return [sorted(group.tolist()) for group in groups]

    def start(self, client: int, round_number: int) -> simpy.Process:
        """Begin a client's round: see :class:`fsim.world.client.ClientRound`."""
        self.accounts.selected += 1
        self._idle.leave(client)
        return self.env.process(self._round(client, round_number))

    def _round(self, client: int, round_number: int) -> Generator[simpy.Event, Any, Answer]:
        seed, examples = self._scenario.seed, self._learner.examples(client)
        size, adapter = self._broadcast.send(client, self.version, self.adapter)
        steps = self._scenario.training.local_steps
        # What error feedback keeps is the client's only once the server has the update.
        memory = copy.deepcopy(self._memories.get(client, {}))
        client_round = ClientRound(
            profile=self._population[client],
            round_number=round_number,
            around=self._around,
            download_bytes=size,
            job=self._learner.job(client, round_number, adapter, steps),
            context=EncodingContext.of(seed, client, round_number, memory=memory),
            weight=examples,
            packets=stream(seed, "transport.loss", client, round_number),
            version=self.version,
        )
        arrival = yield self.env.process(client_round.run())
        self._idle.come_back(client)
        through, self._someone_is_through = self._someone_is_through, self.env.event()
        through.succeed()
        if arrival is None:
            self.accounts.dropped += 1
        else:
            self._memories[client] = memory
            self._selector.observe(
                client,
                round_number,
                loss=arrival.loss,
                examples=examples,
                seconds=arrival.seconds,
            )
        return Answer(client, round_number, arrival)

    def is_late(self, arrival: Arrival, deadline: float) -> bool:
        """See :class:`fsim.server.protocols.world.World`; by the client's own clock."""
        return self.env.now + self._around.failures.clock_offset(arrival.client) > deadline

    def set_aside(self, arrivals: Sequence[Arrival]) -> None:
        """See :class:`fsim.server.protocols.world.World`."""
        for arrival in arrivals:
            if arrival.update is None:
                self.accounts.rejected += 1
            else:
                self.accounts.late += 1
                self.recorder.record(Kind.LATE, self.env.now, 0.0, arrival.client, self.version + 1)

    def close_round(
        self,
        round_number: int,
        started: float,
        arrivals: Sequence[Arrival],
        *,
        selected: Sequence[int] = (),
        scales: Sequence[float] | None = None,
    ) -> None:
        """See :class:`fsim.server.protocols.world.World`; without arrivals nothing changes."""
        updates, kept = self._screened(arrivals)
        if updates:
            mean = self._combine(updates, kept, selected, scales)
            self.adapter = add(self.adapter, self._optimizer.step(mean))
        self._finish_round(round_number, started, len(updates), selected)

    def mix_tiers(
        self,
        round_number: int,
        started: float,
        tier: int,
        arrivals: Sequence[Arrival],
        selected: Sequence[int],
    ) -> None:
        """See :class:`fsim.server.protocols.world.World`.

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
            self.adapter = weighted_sum([adapter for _, adapter in self._tiers], weights)
        self._finish_round(round_number, started, len(updates), selected)

    def close(self) -> None:
        """The run is over: whoever is still at work is counted, and the books are checked."""
        at_work = set(self._idle.busy)
        for (client, round_number), size in sorted(self.recorder.unaccounted().items()):
            if client in at_work:
                self.recorder.record(
                    Kind.DISCARDED,
                    self.env.now,
                    0.0,
                    client,
                    round_number,
                    size,
                    details={"reason": "the run ended"},
                )
        self.accounts.unfinished = len(at_work)
        self.accounts.check()
        self.recorder.check_conservation()

    def _screened(self, arrivals: Sequence[Arrival]) -> tuple[list[Update], list[Arrival]]:
        """Updates that may be aggregated, and whose they are."""
        updates, kept = [], []
        for arrival in arrivals:
            if arrival.update is None:
                self.accounts.rejected += 1
                continue
            rejection = self._screen.check(arrival.update)
            if rejection is not None:
                self.accounts.rejected += 1
                self.recorder.record(
                    Kind.REJECTED,
                    self.env.now,
                    0.0,
                    arrival.client,
                    self.version + 1,
                    details={"reason": rejection.reason},
                )
                continue
            updates.append(self._screen.accept(arrival.update))
            kept.append(arrival)
        self.accounts.aggregated += len(kept)
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
            selected=[float(self._learner.examples(client)) for client in selected] or None,
            scales=scales,
        )

    def _finish_round(
        self, round_number: int, started: float, received: int, selected: Sequence[int]
    ) -> None:
        self.version += 1
        duration = self.env.now - started
        details = {"received": received, "selected": len(selected)}
        self.recorder.record(Kind.ROUND, started, duration, SERVER, round_number, details=details)
        ended = {"round": round_number, "time_s": self.env.now, "duration_s": duration}
        self._tracker.round({**ended, **details, **self.recorder.totals()})
        if round_number % self._scenario.evaluation.every == 0 or round_number == self.rounds:
            self.evaluate(round_number)

    def _available(self, among: Sequence[int] | None) -> Sequence[int]:
        """Clients with nothing to do who may be asked now, in ascending order."""
        if among is None and self._anyone:
            return self._idle
        now = self.env.now
        return [
            client
            for client in (self._idle if among is None else among)
            if client in self._idle
            and (self._anyone or self._population[client].availability.next_available(now) == now)
        ]

    def _choice_keys(self, round_number: int) -> tuple[int, ...]:
        """The first choice of a round has the round's stream, further ones have their own."""
        self._choices[round_number] = self._choices.get(round_number, -1) + 1
        further = self._choices[round_number]
        return (round_number, further) if further else (round_number,)

    def _expected_seconds(self, client: int) -> float:
        profile, steps = self._population[client], self._scenario.training.local_steps
        job = self._learner.job(client, 0, self.adapter, 1)
        size = 4 * self._learner.layout.size
        return (
            profile.compute_seconds(self._learner.operations(job) * steps, steps)
            + size / max(profile.uplink.capacity.mean, 1e-9)
            + size / max(profile.downlink.capacity.mean, 1e-9)
        )

    def evaluate(self, round_number: int) -> None:
        """Measure the global adapter; it takes no simulated time."""
        result = self._learner.evaluate(self.adapter)
        self._accuracy = result.accuracy
        row = self.recorder.evaluation(
            self.env.now,
            round_number,
            result.accuracy,
            result.loss,
            result.perplexity,
            result.token_accuracy,
            {label: score.share for label, score in result.by_label.items()},
        )
        self._tracker.evaluation(row)
        if self._on_progress is not None:
            self._on_progress(Progress.of(row, self.rounds))
