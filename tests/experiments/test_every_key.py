"""Every key of a scenario: which keys of results it changes, and that a run reads it."""

import copy
import json
import pickle
from contextlib import suppress
from typing import Literal, get_args, get_origin

import pytest

from fsim.core.errors import ScenarioError
from fsim.core.validation import Settings
from fsim.experiments.jobs import learning_key
from fsim.experiments.prepared import task_key
from fsim.experiments.run import run_to_folder
from fsim.settings import Scenario
from fsim.settings.loading import check_scenario
from fsim.simulation.build import prepare_task
from tests.conftest import ROOT, tiny_data

TRACED = "recording.pkl"

TRACE = {"trace": "traces/lte-driving.csv", "mean": "1 Mbit/s"}

BASES = (
    {},
    {
        "fleet__availability": {"kind": "dropout", "probability": 0.1},
        "fleet__uplink": TRACE,
        "fleet__downlink": TRACE,
        "fleet__cells": {"count": 2, "uplink": "9 Mbit/s", "downlink": "9 Mbit/s"},
        "server__ingress": "9 Mbit/s",
        "server__egress": "9 Mbit/s",
    },
    {
        "fleet__availability": {"kind": "on-off", "on": "2 h", "off": "1 min"},
        "training__local_steps": None,
        "training__local_epochs": 0.01,
    },
    {
        "fleet__availability": {"kind": "renewal", "on": "2 h", "off": "1 min"},
        "training__cohort_width": 1,
        "protocol__kind": "deadline",
        "protocol__after": "1 min",
    },
    {
        "fleet__availability": {"kind": "diurnal", "start": "20 h", "duration": "12 h"},
        "compression": {"policy": "fstq", "allocation": "budget", "upload_seconds": "5 s"},
    },
    {
        "fleet__availability": {"kind": "traced", "path": TRACED},
        "server__crashes": [{"at": "0.1 s", "down": "0.1 s"}],
    },
)
"""Changes to a scenario; between them they have every section, and keys that need others."""

VALUES = (
    7, 2, 1, 0.5, 0.25, 2.5, 20, None, True, False,
    "1 min", "3 h", "2 Mbit/s", "20 kbit/s", "9 MB", "1 W", "3 W", "none", "other", "cpu",
    "all-linear", "lte", "fluid", "code", "float32", "topk", "deadline", "round-robin",
    "trimmed-mean", "fedadam", "fednova", "rouge_l", "mahimahi", "csv",
    "traces/3g-subway.csv", "other.pkl", str(ROOT / "fsim" / "model" / "nano"),
    {"laptop": 2.0}, {"phone": 1.0}, {"jetson-orin-nano": 1.0}, {"laptop": "1 s"},
    {"most_norm": 5.0}, {1.0: 1.0},
)  # fmt: skip
"""What every key is tried with, beside the words that it allows."""

OF_THE_TASK = {
    "seed": "partition, adapter and test examples are drawn from it",
    "task.name": "the examples",
    "task.partition.kind": "who has which of them",
    "task.partition.alpha": "who has which of them",
    "task.partition.minimum": "who has which of them",
    "task.max_prompt_tokens": "how they are encoded",
    "model.name": "the base model",
    "model.dtype": "the base model",
    "model.device": "where it lies",
    "model.lora.rank": "the adapter on it",
    "model.lora.alpha": "the adapter on it",
    "model.lora.targets": "the adapter on it",
    "fleet.clients": "whom the examples are divided among",
    "evaluation.examples": "the test examples",
}
"""The only keys that change what is made ready before a run."""

NOT_OF_LEARNING = {
    "name": "a label",
    "evaluation.metric": "training does not see how it is evaluated",
    "evaluation.every": "training does not see how often it is evaluated",
    "evaluation.examples": "training does not see what it is evaluated on",
    "target.value": "metrics are read off by it; a run that stops there trains the same until then",
    "target.window": "as target.value",
    "fleet.uplink_power": "joules are counted, nothing waits for them",
    "fleet.transmit_power": "as fleet.uplink_power",
    "fleet.receive_power": "as fleet.uplink_power",
    "fleet.count_waiting": "as fleet.uplink_power",
}
"""Keys that cannot change what is trained."""

ONLY_OF_TIME = (
    "fleet.devices", "fleet.seconds_per_step", "fleet.uplink.", "fleet.downlink.", "fleet.cells.",
    "fleet.radio", "transport.kind", "billing.adapter_parameters", "billing.model_parameters",
    "server.ingress", "server.egress", "failures.clock_skew", "fleet.silent_losses",
    "protocol.keepalive.",
)  # fmt: skip
"""Keys, or sections, that change what is trained only where time decides who takes part: how long
computing and transfers take, by what is billed and by whose clock, and how losses are noticed."""


def sections_in(annotation):
    """The sections that a key may hold."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [section for part in get_args(annotation) for section in sections_in(part)]


def leaves(section=Scenario, above=()):
    """Dotted key, and the section that it is a field of, of each key that has none below it."""
    for name, field in section.model_fields.items():
        below = sections_in(field.annotation)
        for each in below:
            yield from leaves(each, (*above, name))
        if not below and name != "options":
            yield ".".join((*above, name)), section


def words(annotation):
    """The words of the literals in an annotation."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(word for part in get_args(annotation) for word in words(part))


def section_at(scenario, path):
    """The section that a key is in; None if the scenario has none there."""
    place = scenario
    for part in path.split(".")[:-1]:
        place = getattr(place, part)
        if isinstance(place, tuple):
            place = place[0] if place else None
        if place is None:
            return None
    return place


def has(scenario, path, section):
    return type(section_at(scenario, path)) is section


def changed(data, path, value):
    """The scenario's data with one key set."""
    data = copy.deepcopy(data)
    place = data
    *parents, last = path.split(".")
    for parent in parents:
        place = place.setdefault(parent, {})
        place = place[0] if isinstance(place, list) else place
    place[last] = value
    return data


def as_data(loaded, path):
    section = section_at(loaded.scenario, path)
    return json.dumps(section.model_dump(mode="json")[path.rpartition(".")[2]])


LEAVES = [
    (path, section)
    for path, section in leaves()
    # With one word alone there is nothing to change: a kind of availability, or target.metric.
    if len(words(section.model_fields[path.rpartition(".")[2]].annotation)) != 1
]


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Check a scenario's data, its recordings beside it."""
    folder = tmp_path_factory.mktemp("recordings")
    for name, end in ((TRACED, 90_000), ("other.pkl", 80_000)):
        client = {"active": [0], "inactive": [end], "finish_time": 100_000}
        (folder / name).write_bytes(pickle.dumps({"1": client}))
    return lambda data: check_scenario(data, "tiny", (ROOT, folder))


@pytest.fixture(scope="module")
def bases(load):
    data = [tiny_data(**changes, evaluation__examples=4) for changes in BASES]
    return [(each, load(each)) for each in data]


def another(load, bases, path, section):
    """A scenario that has the key, and the same with another value of it."""
    allowed = words(section.model_fields[path.rpartition(".")[2]].annotation)
    for data, before in bases:
        if not has(before.scenario, path, section):
            continue
        for value in (*allowed, *VALUES):
            with suppress(ScenarioError):
                other = changed(data, path, value)
                after = load(other)
                if has(after.scenario, path, section) and (
                    as_data(after, path) != as_data(before, path)
                ):
                    return data, other
    raise AssertionError(f"{path}: no other value is allowed; add one to VALUES, or a base")


@pytest.mark.parametrize(
    ("path", "section"), LEAVES, ids=lambda each: getattr(each, "__name__", each)
)
def test_every_key_changes_the_keys_of_what_it_can_change(load, bases, path, section):
    pair = another(load, bases, path, section)
    if path != "protocol.kind":
        # Once more where time decides who takes part.
        pairs = [pair, tuple(changed(data, "protocol.kind", "deadline") for data in pair)]
    else:
        pairs = [pair]
    for data in pairs:
        before, after = map(load, data)
        assert before.digest != after.digest
        assert (task_key(before) != task_key(after)) == (path in OF_THE_TASK)
        timeless = before.scenario.timeless and after.scenario.timeless
        idle = path in NOT_OF_LEARNING or (timeless and path.startswith(ONLY_OF_TIME))
        assert (learning_key(before) != learning_key(after)) == (not idle)
    assert len(pairs) == 1 or not before.scenario.timeless


@pytest.fixture
def read(monkeypatch):
    """Call a function, and tell which (identity of a section, key) it has read."""

    def call(function, *arguments, **options):
        reads = set()

        def note(settings, name):
            reads.add((id(settings), name))
            return object.__getattribute__(settings, name)

        with monkeypatch.context() as patched:
            patched.setattr(Settings, "__getattribute__", note, raising=False)
            function(*arguments, **options)
        return reads

    return call


def paths_of(reads, scenario):
    """The dotted keys of what was read."""
    return {
        path
        for path, section in LEAVES
        if has(scenario, path, section)
        and (id(section_at(scenario, path)), path.rpartition(".")[2]) in reads
    }


def test_what_is_made_ready_rests_on_keys_of_the_task_alone(bases, read):
    (_, loaded), *_ = bases
    found = paths_of(read(prepare_task, loaded), loaded.scenario)
    assert found <= OF_THE_TASK.keys()
    assert {"seed", "fleet.clients", "evaluation.examples", "model.dtype"} <= found


@pytest.mark.slow
def test_a_run_reads_every_key(load, bases, read, tmp_path):
    """A key that is accepted and then looked at by nobody does nothing."""
    found, prepared = set(), []

    def build(loaded):
        if not prepared:
            prepared.append(prepare_task(loaded))
        return prepared[0]

    for at, (data, _) in enumerate(bases):
        loaded = load(changed(data, "protocol.rounds", 1))
        reads = read(run_to_folder, loaded, tmp_path / str(at), build=build)
        found |= paths_of(reads, loaded.scenario)
    assert {path for path, _ in LEAVES} - found == set()
