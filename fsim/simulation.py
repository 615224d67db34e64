"""The composition root: builds the world that a scenario describes, and runs its clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import simpy
import torch

from fsim.assembly import (
    build_energy,
    build_population,
    build_shared_links,
    build_workbench,
)
from fsim.client import Billing, ClientRound, Surroundings
from fsim.compression import EncodingContext, make_policy
from fsim.errors import FsimError
from fsim.learning.cohort import TrainingSettings
from fsim.learning.encoding import BatchShape, draw_batches
from fsim.learning.stored_evaluation import StoredEvaluator
from fsim.learning.training import Trainer, TrainingJob, automatic_width
from fsim.medium import Medium
from fsim.results.metrics import Metrics, measure
from fsim.results.records import SERVER, Kind, Recorder
from fsim.scenario import LoadedScenario
from fsim.server.aggregation import add, fedavg
from fsim.server.protocols import PROTOCOLS
from fsim.server.protocols.world import Arrival
from fsim.server.selection import uniform
from fsim.store import Store
from fsim.streams import stream, torch_seed
from fsim.transfer import Route
from fsim.vocabulary import Update


@dataclass(frozen=True)
class Progress:
    """Where a run stands after an evaluation."""

    round_number: int
    rounds: int
    simulated_s: float
    accuracy: float
    uplink_bytes: int


@dataclass(frozen=True)
class Run:
    """What a run left.

    Attributes
    ----------
    records, evaluations
        Tables of the schema in :mod:`fsim.results.records`.
    metrics
        Read from them.
    adapter
        The global adapter at the end.
    failure
        Why the run could not go on, None if it did to its end.
    facts
        About the model and data: adapter parameters, shard sizes, prompts shortened.
    save_adapter
        Writes the adapter to a folder as peft does.
    """

    records: pd.DataFrame
    evaluations: pd.DataFrame
    metrics: Metrics
    adapter: Update
    failure: str | None
    facts: dict[str, Any]
    save_adapter: Callable[[Path], None]


def simulate(
    loaded: LoadedScenario,
    on_progress: Callable[[Progress], None] | None = None,
    store: Store | None = None,
) -> Run:
    """Run a scenario.

    The same scenario gives the same records and the same adapter, to the bit, on the same machine
    with the same package versions.

    Parameters
    ----------
    loaded
        From :func:`fsim.scenario.load_scenario` or :func:`fsim.scenario.check_scenario`.
    on_progress
        Called after each evaluation.
    store
        Training results and evaluations found there are not computed again: a run that was killed
        goes on where it was, to the same result.

    Raises
    ------
    ScenarioError
        The scenario cannot be run with the task's data or the model as they are.
    """
    # Sums are split among threads: their number is part of the result.
    torch.set_num_threads(loaded.scenario.training.threads)
    world = SimulatedWorld(loaded, on_progress, store)
    failure = None
    world.evaluate(0)
    protocol = PROTOCOLS[loaded.scenario.protocol.kind]
    try:
        world.env.run(world.env.process(protocol.run(world.env, world)))
        world.recorder.check_conservation()
    except FsimError as error:
        failure = str(error)
    records, evaluations = world.recorder.records(), world.recorder.evaluations()
    return Run(
        records=records,
        evaluations=evaluations,
        metrics=measure(records, evaluations, loaded.scenario.target.value),
        adapter=world.adapter,
        failure=failure,
        facts={
            **world.facts,
            "jobs_trained": world.trainer.trained,
            "jobs_reused": world.trainer.reused,
        },
        save_adapter=lambda folder: world.adapted.save(world.adapter, folder),
    )


class SimulatedWorld:
    """The world as a round protocol sees it (:class:`fsim.server.protocols.world.World`)."""

    def __init__(
        self,
        loaded: LoadedScenario,
        on_progress: Callable[[Progress], None] | None,
        store: Store | None,
    ) -> None:
        scenario = self._scenario = loaded.scenario
        self._on_progress = on_progress
        self.rounds = scenario.protocol.rounds
        self.env = simpy.Environment()
        self.recorder = Recorder()
        self._population = build_population(loaded)
        bench = build_workbench(loaded)
        self.adapted, self._shards = bench.adapted, bench.shards
        rows = [row for shard in self._shards for row in shard]
        self._evaluator = StoredEvaluator(
            bench.adapted, bench.test, bench.test_examples, scenario.metric, store
        )
        self.adapter = self.adapted.initial
        self._memories: dict[int, dict[str, Any]] = {}
        policy = scenario.compression.make()
        shape = BatchShape.of(rows, scenario.training.batch_size)
        width = scenario.training.cohort_width or automatic_width(
            shape, self.adapted.model.config.hidden_size, scenario.protocol.clients_per_round
        )
        self.trainer = Trainer(
            self.adapted,
            shape,
            TrainingSettings(
                scenario.training.optimizer,
                scenario.training.learning_rate,
                scenario.training.weight_decay,
                scenario.training.max_gradient_norm,
                scenario.training.compile,
            ),
            policy.sensitivity(),
            width,
            store,
        )
        uplink, downlink = self._routes()
        billing = self._billing()
        self._around = Surroundings(
            env=self.env,
            uplink=uplink,
            downlink=downlink,
            trainer=self.trainer,
            policy=policy,
            recorder=self.recorder,
            energy=build_energy(scenario),
            billing=billing,
            dropout_timeout=scenario.protocol.dropout_timeout,
        )
        self._broadcast_policy = make_policy(scenario.server.downlink_policy, {})
        self._broadcast: tuple[int, Update] | None = None
        self.facts: dict[str, Any] = {
            "adapter_parameters": self.adapted.layout.size,
            "cohort_width": self.trainer.width,
            "training_examples": len(rows),
            "test_examples": len(bench.test),
            "smallest_shard": min(len(shard) for shard in self._shards),
            "largest_shard": max(len(shard) for shard in self._shards),
            "prompts_shortened": sum(row.truncated for row in rows),
            "items_skipped": bench.skipped,
            "labels_in_no_shard": bench.unseen_labels,
            "billed_bytes_factor": billing.bytes_factor,
            "billed_operations_factor": billing.operations_factor,
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

    def _billing(self) -> Billing:
        wanted, own = self._scenario.billing, self.adapted.model.num_parameters()
        return Billing(
            (wanted.adapter_parameters or self.adapted.layout.size) / self.adapted.layout.size,
            (wanted.model_parameters or own) / own,
        )

    def select(self, round_number: int) -> list[int]:
        """A uniform cohort, from the round's own stream."""
        scenario = self._scenario
        rng = stream(scenario.seed, "server.selection", round_number)
        return uniform(scenario.fleet.clients, scenario.protocol.clients_per_round, rng)

    def start(self, client: int, round_number: int) -> simpy.Process:
        """Begin a client's round: see :class:`fsim.client.ClientRound`."""
        seed, training = self._scenario.seed, self._scenario.training
        shard = self._shards[client]
        size, adapter = self._serialised_adapter()
        batches = draw_batches(
            shard,
            training.local_steps,
            training.batch_size,
            stream(seed, "learning.batches", client, round_number),
        )
        client_round = ClientRound(
            profile=self._population[client],
            round_number=round_number,
            around=self._around,
            download_bytes=size,
            job=TrainingJob(client, round_number, adapter, batches),
            context=EncodingContext(
                rng=stream(seed, "compression", client, round_number),
                memory=self._memories.setdefault(client, {}),
                seed=torch_seed(seed, "compression.shared", client, round_number),
            ),
            layout=self.adapted.layout,
            weight=len(shard),
            packets=stream(seed, "transport.loss", client, round_number),
        )
        return self.env.process(client_round.run())

    def close_round(self, round_number: int, started: float, arrivals: Sequence[Arrival]) -> None:
        """Add the weighted mean of what arrived; a round without arrivals changes nothing."""
        if arrivals:
            updates = [arrival.update for arrival in arrivals]
            step = fedavg(updates, [arrival.weight for arrival in arrivals])
            self.adapter = add(self.adapter, step)
            self._broadcast = None
        duration = self.env.now - started
        details = {"received": len(arrivals)}
        self.recorder.record(Kind.ROUND, started, duration, SERVER, round_number, details=details)
        if round_number % self._scenario.evaluation.every == 0 or round_number == self.rounds:
            self.evaluate(round_number)

    def evaluate(self, round_number: int) -> None:
        """Measure the global adapter; it takes no simulated time."""
        result = self._evaluator.evaluate(self.adapter)
        self.recorder.evaluation(
            self.env.now,
            round_number,
            result.accuracy,
            result.loss,
            result.perplexity,
            result.token_accuracy,
            {label: score.share for label, score in result.by_label.items()},
        )
        if self._on_progress is not None:
            uplink = self.recorder.uplink_bytes
            self._on_progress(
                Progress(round_number, self.rounds, self.env.now, result.accuracy, uplink)
            )

    def _serialised_adapter(self) -> tuple[int, Update]:
        """Length of the global adapter as sent, and what decoding those bytes gives."""
        if self._broadcast is None:
            rng = stream(self._scenario.seed, "server.downlink")
            payload = self._broadcast_policy.encode(self.adapter, EncodingContext(rng))
            received = self._broadcast_policy.decode(payload, self.adapted.layout)
            self._broadcast = len(payload), received
        return self._broadcast
