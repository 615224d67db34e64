"""Builders of the parts of a run from its scenario: fleet, links, energy, task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

import numpy as np
import pandas as pd

from fsim.core.distributions import Distribution
from fsim.core.errors import ScenarioError
from fsim.core.rng import stream, torch_seed
from fsim.data.encoding import Encoded, encode_examples
from fsim.data.partition import (
    Shards,
    Statistics,
    dirichlet,
    iid,
    label_counts,
    natural,
    one_label,
    quantity,
    statistics,
)
from fsim.data.tasks import Example, TaskData
from fsim.fleet import (
    UPLINK_POWER,
    ClientProfile,
    ConstantPower,
    EnergyModel,
    PowerModel,
    draw_population,
)
from fsim.fleet.population import (
    AvailabilityLaw,
    DrawnPopulation,
    LinkLaw,
    always_on,
    diurnal,
    dropout,
    renewal,
    traced,
)
from fsim.model.adapter import AdaptedModel
from fsim.model.loading import load_base
from fsim.network import Capacity
from fsim.settings import Scenario
from fsim.settings.fleet import (
    AlwaysSettings,
    DiurnalSettings,
    DropoutSettings,
    LinkSettings,
    OnOffSettings,
    RenewalSettings,
    TracedSettings,
    recordings,
)
from fsim.settings.loading import LoadedScenario
from fsim.store.memory_cache import MemoryCache


def build_population(loaded: LoadedScenario) -> DrawnPopulation:
    """Draw the fleet of a scenario."""
    scenario, fleet = loaded.scenario, loaded.scenario.fleet
    population = draw_population(
        scenario.seed,
        fleet.clients,
        fleet.devices,
        _link_law(fleet.uplink, loaded),
        _link_law(fleet.downlink, loaded),
        _availability_law(loaded),
        fleet.seconds_per_step,
        fleet.radio,
    )

    def draw(clients: Sequence[int]) -> list[ClientProfile]:
        population.prepare(clients)
        return [_placed(population[client], scenario) for client in clients]

    return DrawnPopulation(len(population), draw)


def _placed(profile: ClientProfile, scenario: Scenario) -> ClientProfile:
    """The client with the shared links behind it: its cell's first, the server's last."""
    cells, server = scenario.fleet.cells, scenario.server
    cell = None
    if cells is not None:
        cell = int(stream(scenario.seed, "fleet.cell", profile.client).integers(cells.count))

    def path(shared: bool, whole: float | None) -> tuple[int, ...]:
        count = cells.count if cells is not None and shared else 0
        return (*([cell] if count and cell is not None else []), *([count] if whole else []))

    up = path(cells is not None and cells.uplink is not None, server.ingress)
    down = path(cells is not None and cells.downlink is not None, server.egress)
    if not (up or down):
        return profile
    return replace(
        profile,
        uplink=replace(profile.uplink, path=up),
        downlink=replace(profile.downlink, path=down),
    )


def build_shared_links(scenario: Scenario) -> tuple[list[Capacity], list[Capacity]]:
    """Links that clients share on the way up and on the way down: the cells', then the server's."""
    cells, server, seed = scenario.fleet.cells, scenario.server, scenario.seed

    def links(direction: str, law: Distribution | None, whole: float | None) -> list[Capacity]:
        shared = []
        if cells is not None and law is not None:
            draws = (stream(seed, f"fleet.cell.{direction}", cell) for cell in range(cells.count))
            shared = [Capacity.constant(law.draw(rng)) for rng in draws]
        return shared + ([Capacity.constant(whole)] if whole else [])

    return (
        links("uplink", cells.uplink if cells else None, server.ingress),
        links("downlink", cells.downlink if cells else None, server.egress),
    )


def build_queues(scenario: Scenario) -> tuple[list[float | None], list[float | None]]:
    """Bytes that fit into the queue of each shared link, in their order; None for no FIFO."""
    cells, server = scenario.fleet.cells, scenario.server

    def queues(
        law: Distribution | None, queue: float | None, whole: float | None, last: float | None
    ) -> list[float | None]:
        of_cells = [queue] * cells.count if cells is not None and law is not None else []
        return of_cells + ([last] if whole else [])

    return (
        queues(
            cells.uplink if cells else None, cells.uplink_queue if cells else None,
            server.ingress, server.ingress_queue,
        ),
        queues(
            cells.downlink if cells else None, cells.downlink_queue if cells else None,
            server.egress, server.egress_queue,
        ),
    )  # fmt: skip


def _availability_law(loaded: LoadedScenario) -> AvailabilityLaw:
    settings, seed = loaded.scenario.fleet.availability, loaded.scenario.seed
    match settings:
        case DropoutSettings():
            return dropout(seed, settings.probability, settings.moment)
        case OnOffSettings() | RenewalSettings():
            return renewal(seed, *settings.laws())
        case DiurnalSettings():
            return diurnal(seed, settings.nights())
        case TracedSettings():
            schedules = recordings(loaded.find(settings.path))
            return traced(seed, schedules, settings.offset == "random")
        case AlwaysSettings():
            return always_on()
        case _:
            assert_never(settings)


def build_energy(scenario: Scenario) -> EnergyModel:
    """The energy model of clients' training and transfers, joules."""
    fleet = scenario.fleet
    transmit: PowerModel = (
        ConstantPower(fleet.transmit_power)
        if fleet.uplink_power == "constant"
        else UPLINK_POWER[fleet.uplink_power]
    )
    return EnergyModel(transmit, fleet.receive_power, fleet.count_waiting)


def _link_law(link: LinkSettings, loaded: LoadedScenario) -> LinkLaw:
    if link.trace is None:
        return LinkLaw(None, link.rate, link.round_trip)
    trace = link.capacity(loaded.find(link.trace))
    if not isinstance(link.offset, str):
        if link.past_end == "error" and link.offset >= trace.duration:
            raise ScenarioError(
                f"{link.trace}: found offset: {link.offset:g} s, with past_end: error the trace is "
                f"known for {trace.duration:g} s"
            )
        trace = trace.with_offset(link.offset)
    return LinkLaw(trace, link.mean, link.round_trip, link.offset == "random")


@dataclass(frozen=True)
class PreparedTask:
    """The model with its adapter, and the data of all clients.

    Attributes
    ----------
    shards
        Each client's training examples.
    test, test_examples
        The examples that are evaluated, as token ids and as texts.
    skipped
        Items of the task's source that cannot be used, and examples that no client has, by reason.
    unseen_labels
        Labels of test examples that no client has an example of.
    cache
        Recent results of runs on this task.
    """

    adapted: AdaptedModel
    shards: list[list[Encoded]]
    test: list[Encoded]
    test_examples: list[Example]
    skipped: dict[str, int]
    unseen_labels: list[str]
    cache: MemoryCache = field(default_factory=MemoryCache)


def prepare_task(loaded: LoadedScenario) -> PreparedTask:
    """Load the task, divide it among the clients, and put an adapter on the base model.

    Raises
    ------
    ScenarioError
        The task has too few examples for what is asked, or the model does not fit it.
    """
    scenario = loaded.scenario
    data = load_task(loaded)
    shards, left_out = build_partition(scenario, data.train)
    base = load_base(scenario.model.name, scenario.model.dtype, scenario.model.device)
    adapted = AdaptedModel(base, scenario.model.lora, torch_seed(scenario.seed, "learning.adapter"))
    limit = scenario.task.max_prompt_tokens
    train = encode_examples(base.tokenizer, data.train, limit)
    sample = stream(scenario.seed, "learning.evaluation").choice(
        len(data.test), size=scenario.evaluation.examples, replace=False
    )
    examples = [data.test[i] for i in sorted(sample)]
    test = encode_examples(base.tokenizer, examples, limit)
    context = getattr(base.model.config, "max_position_embeddings", None)
    longest = max(len(row.ids) for row in (*train, *test))
    if context is not None and longest > context:
        raise ScenarioError(
            f"task.max_prompt_tokens: found {limit}, with which an example takes {longest} tokens; "
            f"the model {scenario.model.name} reads {context}"
        )
    trained_labels = {data.train[i].label for shard in shards for i in shard}
    skipped = dict(data.skipped)
    if left_out:
        skipped["in no client's shard"] = left_out
    return PreparedTask(
        adapted=adapted,
        shards=[[train[i] for i in shard] for shard in shards],
        test=test,
        test_examples=examples,
        skipped=skipped,
        unseen_labels=sorted({example.label for example in examples} - trained_labels),
    )


def load_task(loaded: LoadedScenario) -> TaskData:
    """The task's examples.

    Raises
    ------
    ScenarioError
        There are fewer test examples than are to be evaluated, or no training examples.
    """
    scenario = loaded.scenario
    data = scenario.task.make().load(loaded.find)
    count = scenario.evaluation.examples
    if count > len(data.test):
        raise ScenarioError(
            f"evaluation.examples: found {count}, the task {scenario.task.name} has "
            f"{len(data.test)}"
        )
    return data


def build_partition(scenario: Scenario, examples: Sequence[Example]) -> tuple[Shards, int]:
    """Divide the training examples among the clients.

    Returns
    -------
    tuple
        Each client's indices, and the number of examples that no client has.
    """
    rng = stream(scenario.seed, "learning.partition")
    settings, clients = scenario.task.partition, scenario.fleet.clients
    labels = [example.label for example in examples]
    minimum = settings.minimum
    left_out = np.empty(0, dtype=np.int64)
    match settings.kind:
        case "iid":
            shards = iid(len(labels), clients, minimum, rng)
        case "quantity":
            shards = quantity(len(labels), clients, settings.alpha, minimum, rng)
        case "one-label":
            shards = one_label(labels, clients, minimum, rng)
        case "natural":
            shards, left_out = natural(labels, clients, minimum, rng)
        case "dirichlet":
            shards = dirichlet(labels, clients, settings.alpha, minimum, rng)
        case _:
            assert_never(settings.kind)
    return shards, len(left_out)


def describe_partition(loaded: LoadedScenario) -> tuple[Statistics, pd.DataFrame, int]:
    """The division of a scenario's examples: statistics, counts by client and label, left out."""
    train = load_task(loaded).train
    shards, left_out = build_partition(loaded.scenario, train)
    labels = [example.label for example in train]
    return statistics(shards, labels), label_counts(shards, labels), left_out
