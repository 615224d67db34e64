"""The composition root: builds the world that a scenario describes, and runs its clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import simpy
import torch

from fsim.client import ClientRound, Surroundings
from fsim.compression import EncodingContext, make_policy
from fsim.errors import FsimError, ScenarioError
from fsim.fleet import Population, draw_population
from fsim.fleet.population import AvailabilityLaw, LinkLaw, always_on, dropout, on_off
from fsim.learning.adapter import AdaptedModel, LoraSettings
from fsim.learning.encoding import Encoded, draw_batches, encode_examples
from fsim.learning.evaluation import Evaluator
from fsim.learning.models import load_base
from fsim.learning.partition import Shards, dirichlet, iid
from fsim.learning.tasks import Example
from fsim.learning.training import Trainer, TrainingJob, TrainingSettings
from fsim.network import Capacity
from fsim.network.formats import read_trace
from fsim.network.transport import TRANSPORTS
from fsim.results.metrics import Metrics, measure
from fsim.results.records import SERVER, Kind, Recorder
from fsim.scenario import LoadedScenario
from fsim.server.aggregation import add, fedavg
from fsim.server.protocols import PROTOCOLS
from fsim.server.protocols.world import Arrival
from fsim.server.selection import uniform
from fsim.settings import DropoutSettings, LinkSettings, OnOffSettings, Scenario
from fsim.streams import stream, torch_seed
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


def simulate(loaded: LoadedScenario, on_progress: Callable[[Progress], None] | None = None) -> Run:
    """Run a scenario.

    The same scenario gives the same records and the same adapter, to the bit, on the same machine
    with the same package versions.

    Parameters
    ----------
    loaded
        From :func:`fsim.scenario.load_scenario` or :func:`fsim.scenario.check_scenario`.
    on_progress
        Called after each evaluation.

    Raises
    ------
    ScenarioError
        The scenario cannot be run with the task's data or the model as they are.
    """
    # Sums are split among threads: their number is part of the result.
    torch.set_num_threads(loaded.scenario.training.threads)
    world = SimulatedWorld(loaded, on_progress)
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
        facts=world.facts,
        save_adapter=lambda folder: world.adapted.save(world.adapter, folder),
    )


class SimulatedWorld:
    """The world as a round protocol sees it (:class:`fsim.server.protocols.world.World`)."""

    def __init__(
        self, loaded: LoadedScenario, on_progress: Callable[[Progress], None] | None
    ) -> None:
        scenario = self._scenario = loaded.scenario
        self._on_progress = on_progress
        self.rounds = scenario.protocol.rounds
        self.env = simpy.Environment()
        self.recorder = Recorder()
        self._population = build_population(loaded)
        self.adapted, self._shards, test = build_learning(loaded)
        self._evaluator = Evaluator(self.adapted, test)
        self.adapter = self.adapted.initial
        self._memories: dict[int, dict[str, Any]] = {}
        policy = scenario.compression.make()
        self._around = Surroundings(
            env=self.env,
            transport=TRANSPORTS[scenario.transport.kind],
            trainer=Trainer(
                self.adapted,
                TrainingSettings(
                    scenario.training.optimizer,
                    scenario.training.learning_rate,
                    scenario.training.weight_decay,
                    scenario.training.max_gradient_norm,
                ),
                policy.sensitivity(),
            ),
            policy=policy,
            recorder=self.recorder,
            transmit_power=scenario.fleet.transmit_power,
            receive_power=scenario.fleet.receive_power,
            dropout_timeout=scenario.protocol.dropout_timeout,
        )
        self._broadcast_policy = make_policy(scenario.server.downlink_policy, {})
        self._broadcast: tuple[int, Update] | None = None
        rows = [row for shard in self._shards for row in shard]
        self.facts: dict[str, Any] = {
            "adapter_parameters": self.adapted.layout.size,
            "training_examples": len(rows),
            "test_examples": len(test),
            "smallest_shard": min(len(shard) for shard in self._shards),
            "largest_shard": max(len(shard) for shard in self._shards),
            "prompts_shortened": sum(row.truncated for row in rows),
        }

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
            ),
            layout=self.adapted.layout,
            weight=len(shard),
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
        self.recorder.evaluation(self.env.now, round_number, result.accuracy, result.loss)
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


def build_population(loaded: LoadedScenario) -> Population:
    """Draw the fleet of a scenario."""
    scenario, fleet = loaded.scenario, loaded.scenario.fleet
    availability: AvailabilityLaw
    if isinstance(fleet.availability, DropoutSettings):
        availability = dropout(scenario.seed, fleet.availability.probability)
    elif isinstance(fleet.availability, OnOffSettings):
        availability = on_off(scenario.seed, fleet.availability.on, fleet.availability.off)
    else:
        availability = always_on()
    return draw_population(
        scenario.seed,
        fleet.clients,
        fleet.devices,
        _link_law(fleet.uplink, loaded),
        _link_law(fleet.downlink, loaded),
        availability,
        fleet.seconds_per_step,
    )


def _link_law(link: LinkSettings, loaded: LoadedScenario) -> LinkLaw:
    if link.trace is None:
        return LinkLaw(None, link.rate, link.round_trip)
    starts, rates, duration = read_trace(loaded.find(link.trace))
    trace = Capacity(starts, rates, duration, link.past_end)
    return LinkLaw(trace, link.mean, link.round_trip, link.offset == "random")


def build_learning(
    loaded: LoadedScenario,
) -> tuple[AdaptedModel, list[list[Encoded]], list[Encoded]]:
    """The model with its adapter, each client's shard, and the test examples.

    Raises
    ------
    ScenarioError
        The task has too few examples for what is asked.
    """
    scenario = loaded.scenario
    data = scenario.task.make().load(loaded.find)
    wanted = scenario.evaluation.examples
    if wanted > len(data.test):
        raise ScenarioError(
            f"evaluation.examples: found {wanted}, the task {scenario.task.name} has "
            f"{len(data.test)}"
        )
    shards = build_partition(scenario, data.train)
    base = load_base(scenario.model.name)
    lora = scenario.model.lora
    adapted = AdaptedModel(
        base,
        LoraSettings(lora.rank, lora.alpha, lora.targets),
        torch_seed(scenario.seed, "learning.adapter"),
    )
    limit = scenario.task.max_prompt_tokens
    train = encode_examples(base.tokenizer, data.train, limit)
    chosen = stream(scenario.seed, "learning.evaluation").choice(
        len(data.test), size=wanted, replace=False
    )
    test = encode_examples(base.tokenizer, [data.test[i] for i in sorted(chosen)], limit)
    return adapted, [[train[i] for i in shard] for shard in shards], test


def build_partition(scenario: Scenario, examples: Sequence[Example]) -> Shards:
    """Divide the training examples among the clients."""
    rng = stream(scenario.seed, "learning.partition")
    partition, clients = scenario.task.partition, scenario.fleet.clients
    if partition.kind == "iid":
        return iid(len(examples), clients, rng)
    labels = [example.label for example in examples]
    return dirichlet(labels, clients, partition.alpha, partition.minimum, rng)
