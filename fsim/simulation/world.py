"""The world of a run: clients, model and settings, as a round protocol sees them."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

import simpy
from typing_extensions import override

from fsim.algorithms import make_algorithm
from fsim.algorithms.base import Federation
from fsim.compression import EncodingContext, make_policy
from fsim.core.types import Update
from fsim.fleet import batteries
from fsim.fleet.population import DrawnPopulation
from fsim.records import SERVER, Kind, Recorder
from fsim.server.protocols.base import Aggregate, ClientResult, ClientUpdate, World, average
from fsim.settings.loading import LoadedScenario
from fsim.simulation.billing import Billing
from fsim.simulation.broadcast import Broadcast
from fsim.simulation.build import (
    build_energy,
    build_population,
    build_queues,
    build_shared_links,
)
from fsim.simulation.client import ClientRound
from fsim.simulation.client_counts import ClientCounts
from fsim.simulation.encoding_memory import EncodingMemory
from fsim.simulation.failures import PayloadFailures, ServerUptime
from fsim.simulation.feasibility import check_feasible
from fsim.simulation.global_adapter import GlobalAdapter
from fsim.simulation.learner import Learner
from fsim.simulation.limits import Limits
from fsim.simulation.losses import LossNotices
from fsim.simulation.payload import PayloadEncoder
from fsim.simulation.progress import Progress, ProgressReport
from fsim.simulation.radios import Radios
from fsim.simulation.reasons import Ending
from fsim.simulation.roster import Roster
from fsim.simulation.run_context import RunContext
from fsim.simulation.shared_links import SharedLinks
from fsim.simulation.transfer import DIRECTIONS, Route
from fsim.trackers import Tracker, TrackerGroup


class SimulatedWorld(World):
    """The world of one run on its clock: clients, learner, global adapter and records.

    Parameters
    ----------
    loaded
        The scenario.
    learner
        Trains and evaluates.
    on_progress
        Called after each evaluation, and about twice a second while none is made.
    tracker
        Follows the run while it goes on.
    population
        The scenario's clients, for callers with one population for many runs; drawn if None.
    """

    def __init__(
        self,
        loaded: LoadedScenario,
        learner: Learner,
        on_progress: Callable[[Progress], None] | None = None,
        tracker: Tracker | None = None,
        population: DrawnPopulation | None = None,
    ) -> None:
        scenario = self.scenario = loaded.scenario
        self._tracker = tracker or TrackerGroup(())
        self.rounds = scenario.protocol.rounds
        self._progress = ProgressReport(on_progress, self.rounds)
        self.clients_per_round = scenario.protocol.clients_per_round
        self.accounts = ClientCounts()
        self.env = simpy.Environment()
        self.recorder = Recorder()
        self.learner = learner
        self._memories: dict[int, dict[str, Any]] = {}
        self._askings: dict[int, tuple[int, int]] = {}
        uplink, downlink = self._routes()
        billing = self._make_billing()
        uptime = ServerUptime(scenario.server.crashes)
        self._run_context = RunContext(
            env=self.env,
            uplink=uplink,
            downlink=downlink,
            learner=learner,
            encoder=PayloadEncoder(
                scenario.compression.make(),
                uplink.transport,
                learner.cache,
                EncodingMemory() if scenario.training.measure_memory else None,
            ),
            recorder=self.recorder,
            energy=build_energy(scenario),
            billing=billing,
            notices=LossNotices(
                scenario.seed,
                scenario.fleet.silent_losses,
                scenario.protocol.keepalive.make(),
                uptime,
            ),
            uptime=uptime,
            failures=PayloadFailures(scenario.seed, scenario.failures),
            radios=Radios(self.env, self.recorder),
            upload_seconds=scenario.compression.upload_seconds,
        )
        self._broadcast = Broadcast(
            scenario.server.downlink_policy.make(make_policy),
            scenario.server.downlink,
            learner.layout,
            scenario.seed,
        )
        self._algorithm = scenario.server.correction.make(make_algorithm).begin(
            Federation(
                learner.layout,
                scenario.fleet.clients,
                scenario.training.learning_rate,
                scenario.seed,
            )
        )
        self._global = GlobalAdapter(
            self.env,
            scenario,
            learner.initial,
            learner.examples,
            self.accounts,
            self.recorder,
            self._algorithm,
        )
        clients = build_population(loaded) if population is None else population
        self._roster = Roster(self.env, scenario, clients, learner.examples, uptime)
        self._lately: deque[float] = deque(maxlen=scenario.target.window)
        self._billing = billing
        self._limits = Limits(
            self.env, scenario.protocol.stop, self.accounts, self.clients_per_round
        )
        self._evaluated: Update | None = None
        check_feasible(
            scenario, learner, billing, uplink.transport, learner.initial, self._roster.population
        )

    def run(self) -> None:
        """Let the scenario's protocol run to its end, or until a limit of the run ends it.

        Raises
        ------
        FsimError
            The run cannot go on.
        """
        protocol = self.scenario.protocol.make()
        process = self.env.process(protocol.run(self.env, self))
        try:
            self.env.run(process | self._limits.over)
            if self._evaluated is not self.adapter:
                self.evaluate(self._progress.round_number)
        finally:
            self._progress.meanwhile(self.env.now, self.recorder.uplink_bytes, at_once=True)

    @property
    @override
    def version(self) -> int:
        return self._global.version

    @property
    @override
    def adapter(self) -> Update:
        return self._global.value

    @property
    def facts(self) -> dict[str, Any]:
        """Figures of the model, the data and the clients' ends, for the summary."""
        memory = self._run_context.encoder.memory
        measured: dict[str, Any] = {}
        if memory is not None:
            measured["encoding_memory_bytes"] = memory.peak
        if nothing := self._limits.nothing_entered:
            measured["nothing_entered"] = nothing
        return {
            **self.learner.facts,
            "billed_bytes_factor": self._billing.bytes_factor,
            "billed_operations_factor": self._billing.operations_factor,
            "accounts": self.accounts.as_dict(),
            "troubles": {str(name): times for name, times in sorted(self._limits.troubles.items())},
            "batteries_j": {
                str(c): j for c, j in batteries(self._roster.population.profiles).items()
            },
            **self.learner.final_facts(),
            **measured,
        }

    def _routes(self) -> tuple[Route, Route]:
        """The routes up and down."""
        transport = self.scenario.transport.make()
        up, down = (
            Route(
                self.env,
                transport,
                self.scenario.fleet.when_away,
                SharedLinks(self.env, links, queues) if links else None,
                direction,
            )
            for direction, links, queues in zip(
                DIRECTIONS,
                build_shared_links(self.scenario),
                build_queues(self.scenario),
                strict=True,
            )
        )
        return up, down

    def _make_billing(self) -> Billing:
        billing, own = self.scenario.billing, self.learner
        return Billing(
            (billing.adapter_parameters or own.layout.size) / own.layout.size,
            (billing.model_parameters or own.parameters) / own.parameters,
        )

    @override
    def stopped(self) -> bool:
        stop = self.scenario.protocol.stop
        return (
            (stop.at_target and self._at_target())
            or (stop.after is not None and self.env.now >= stop.after)
            or (stop.uplink is not None and self.recorder.uplink_bytes >= stop.uplink)
        )

    def _at_target(self) -> bool:
        target = self.scenario.target
        # As the metrics have it: no mean of fewer evaluations than the window's.
        full = len(self._lately) == target.window
        return full and sum(self._lately) / target.window >= target.value

    @override
    def select(
        self, round_number: int, count: int, among: Sequence[int] | None = None
    ) -> list[int]:
        return self._roster.select(round_number, count, among)

    @override
    def wait_for_client(
        self, among: Sequence[int] | None = None
    ) -> Generator[simpy.Event, Any, None]:
        yield from self._roster.wait_for_client(among)

    @override
    def clients_by_speed(self) -> list[int]:
        return sorted(range(len(self._roster.population)), key=self._expected_seconds)

    @override
    def start(self, client: int, round_number: int) -> simpy.Process:
        self.accounts.selected += 1
        self._roster.leave(client)
        last, repeat = self._askings.get(client, (0, 0))
        repeat = repeat + 1 if last == round_number else 0
        self._askings[client] = round_number, repeat
        self._progress.meanwhile(self.env.now, self.recorder.uplink_bytes)
        return self.env.process(self._round(client, round_number, repeat))

    def _round(
        self, client: int, round_number: int, repeat: int
    ) -> Generator[simpy.Event, Any, ClientResult]:
        seed, examples = self.scenario.seed, self.learner.examples(client)
        size, adapter = self._broadcast.send(client, self.version, self.adapter)
        steps = self.scenario.training.steps(examples)
        trains, layout = self._run_context.encoder.policy.trains, self.learner.layout
        trained = (spec.name for spec in layout.tensors if trains(spec.name, round_number))
        side = self._algorithm.client(client, round_number, trained, repeat)
        # What error feedback keeps is the client's only once the server has the update.
        memory = copy.deepcopy(self._memories.get(client, {}))
        client_round = ClientRound(
            profile=self._roster[client],
            round_number=round_number,
            run_context=self._run_context,
            download_bytes=size,
            job=self.learner.job(client, round_number, adapter, steps, side.correction(), repeat),
            context=EncodingContext.of(seed, client, round_number, repeat, memory=memory),
            weight=examples,
            seed=seed,
            version=self.version,
            algorithm=side,
            repeat=repeat,
        )
        ending: Ending = yield self.env.process(client_round.run())
        self._roster.come_back(client)
        arrival = ending.arrival
        if arrival is None:
            self.accounts.dropped += 1
        else:
            if arrival.update is not None:
                self._memories[client] = memory
            self._global.receive(arrival)
            self._roster.observe(arrival, round_number)
        self._limits.count(ending.trouble)
        if ending.never:
            self._roster.note_dead_link(f"client {client}, round {round_number}: {ending.never}")
        return ClientResult(client, round_number, arrival)

    @override
    def is_late(self, arrival: ClientUpdate, deadline: float) -> bool:
        # The time of an answer is stamped by its client's own clock.
        return self.env.now + self._run_context.failures.clock_offset(arrival.client) > deadline

    @override
    def set_aside(self, arrivals: Sequence[ClientUpdate]) -> None:
        self._global.set_aside(arrivals)

    @override
    def close_round(
        self,
        round_number: int,
        started: float,
        arrivals: Sequence[ClientUpdate],
        *,
        selected: Sequence[int] = (),
        aggregate: Aggregate = average,
    ) -> None:
        self._run_context.radios.settle()
        received = self._global.move(arrivals, selected, aggregate)
        if received:
            self._limits.moved()
        self._progress.close_round(round_number)
        duration = self.env.now - started
        details = {"received": received, "selected": len(selected)}
        self.recorder.record(Kind.ROUND, started, duration, SERVER, round_number, details=details)
        row = {"round": round_number, "time_s": self.env.now, "duration_s": duration}
        self._tracker.round({**row, **details, **self.recorder.totals()})
        if round_number % self.scenario.evaluation.every == 0 or round_number == self.rounds:
            self.evaluate(round_number)

    def close(self) -> None:
        """End the run: count the clients still at work, and check that every count adds up."""
        self._run_context.radios.settle()
        at_work = set(self._roster.busy)
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
        self.accounts.unfinished = len(at_work) + self._global.close()
        self.accounts.check()
        self.recorder.check_conservation()

    def _expected_seconds(self, client: int) -> float:
        """Seconds of a client's round by its device and its links' mean rates."""
        profile = self._roster[client]
        steps = self.scenario.training.steps(self.learner.examples(client))
        job = self.learner.job(client, 0, self.adapter, 1)
        size = 4 * self.learner.layout.size
        return (
            profile.compute_seconds(self.learner.operations(job) * steps, steps)
            + size / max(profile.uplink.capacity.mean, 1e-9)
            + size / max(profile.downlink.capacity.mean, 1e-9)
        )

    def evaluate(self, round_number: int) -> None:
        """Measure the global adapter; it takes no simulated time."""
        self._run_context.radios.settle()
        result = self.learner.evaluate(self.adapter)
        self._evaluated = self.adapter
        self._lately.append(result.accuracy)
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
        self._progress.evaluation(row)
