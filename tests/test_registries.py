"""What holds of every registry: each path that crosses them all is tried on each."""

import subprocess
import sys
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
import pytest

from fsim.algorithms import ALGORITHMS
from fsim.algorithms.base import NoCorrection
from fsim.cli.lists import LISTINGS
from fsim.compression import POLICIES, Policy
from fsim.compression.coding.wire import pack, unpack
from fsim.core.registry import Catalog, Registry, additions, adopt, choose
from fsim.core.sources import REQUIRED, options_of, summary_of
from fsim.core.types import Layout
from fsim.data.tasks import TASKS, Task, TaskData
from fsim.experiments.engines.local import Processes
from fsim.experiments.run import code_version
from fsim.figures.content import Axis, Content, Panel
from fsim.figures.registry import FIGURES, Drawing
from fsim.fleet import DEVICES, RADIOS, Device, Radio
from fsim.network import Fluid
from fsim.network.formats import FORMATS, Format
from fsim.network.generators import GENERATORS, TraceGenerator
from fsim.network.transports.transports import TRANSPORTS
from fsim.server.aggregation import AGGREGATIONS, Aggregation
from fsim.server.optimizers import OPTIMIZERS, ServerOptimizer
from fsim.server.protocols import PROTOCOLS, RoundProtocol
from fsim.server.selection import SELECTORS, Selector
from fsim.server.staleness import STALENESS, Staleness
from fsim.trackers import TRACKERS


@dataclass(frozen=True)
class OwnPolicy(Policy):
    """Nothing at all.

    Attributes
    ----------
    bits
        None of them.
    """

    name: ClassVar[str] = "own"

    bits: int = 0

    def encode(self, update, context):
        return pack(self.name, Layout.of(update), {})

    def decode(self, payload, layout):
        unpack(payload, self.name, layout)
        return layout.unflatten(np.zeros(layout.size, np.float32))


@dataclass(frozen=True)
class OwnProtocol(RoundProtocol):
    """No round at all."""

    name: ClassVar[str] = "own"

    def run(self, env, world):
        yield env.timeout(1)


@dataclass
class OwnSelector(Selector):
    """The first ones."""

    name: ClassVar[str] = "own"

    def _choose(self, round_number, available, count, rng):
        return list(available)[:count]


@dataclass(frozen=True)
class OwnAggregation(Aggregation):
    """The first one."""

    name: ClassVar[str] = "own"

    def combine(self, updates, examples, *, selected=None, scales=None):
        return updates[0]


@dataclass
class OwnOptimizer(ServerOptimizer):
    """The mean as it is."""

    name: ClassVar[str] = "own"

    lr: float = 1.0

    def _step(self, name, delta):
        return delta


@dataclass(frozen=True)
class OwnStaleness(Staleness):
    """All the same."""

    name: ClassVar[str] = "own"

    def weight(self, staleness):
        return 1.0


@dataclass(frozen=True)
class OwnTask(Task):
    """No examples."""

    name: ClassVar[str] = "own"
    metrics: ClassVar[tuple[str, ...]] = ("exact",)

    def load(self, find):
        return TaskData((), ())


@dataclass(frozen=True)
class OwnFormat(Format):
    """One rate for ever."""

    name: ClassVar[str] = "own"

    def read(self, path):
        return np.zeros(1), np.ones(1), 1.0


@dataclass(frozen=True)
class OwnTransport(Fluid):
    """As fluid."""

    name: ClassVar[str] = "own"


@dataclass(frozen=True)
class OwnGenerator(TraceGenerator):
    """Ones."""

    name: ClassVar[str] = "own"

    def rates(self, seconds, rng):
        return np.ones(seconds)


@dataclass(frozen=True)
class OwnAlgorithm(NoCorrection):
    """As without one."""

    name: ClassVar[str] = "own"


def own(summary):
    """Show nothing."""
    return Content(
        heading="own", summary=summary, panels=[Panel(x=Axis("x"), y=Axis("y"), marks=[])]
    )


@dataclass(eq=False)
class OwnTracker:
    """Rows in a list."""

    name: ClassVar[str] = "own"

    place: str = "runs/own"
    rows: list[Any] = field(default_factory=list)

    def start(self, scenario):
        self.rows.append(scenario)

    evaluation = round = finish = start


REGISTRIES = (
    POLICIES,
    PROTOCOLS,
    SELECTORS,
    AGGREGATIONS,
    OPTIMIZERS,
    STALENESS,
    TASKS,
    FORMATS,
    TRANSPORTS,
    GENERATORS,
    DEVICES,
    RADIOS,
    TRACKERS,
    ALGORITHMS,
    FIGURES,
)

OWN = {
    POLICIES.noun: OwnPolicy,
    PROTOCOLS.noun: OwnProtocol,
    SELECTORS.noun: OwnSelector,
    AGGREGATIONS.noun: OwnAggregation,
    OPTIMIZERS.noun: OwnOptimizer,
    STALENESS.noun: OwnStaleness,
    TASKS.noun: OwnTask,
    FORMATS.noun: OwnFormat,
    TRANSPORTS.noun: OwnTransport,
    GENERATORS.noun: OwnGenerator,
    DEVICES.noun: Device("own", 1e9, 1.0, "made up"),
    RADIOS.noun: Radio("own", "made up", 1.0, 1.0, ((1.0, 1.0),)),
    TRACKERS.noun: OwnTracker,
    ALGORITHMS.noun: OwnAlgorithm,
    FIGURES.noun: Drawing(own),
}
"""Noun -> one of a user's own."""

every = pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.noun)
of_classes = pytest.mark.parametrize(
    "registry",
    [registry for registry in REGISTRIES if isinstance(registry, Registry)],
    ids=lambda registry: registry.noun,
)


@pytest.fixture(autouse=True)
def forgotten():
    """What a test registers is gone after it."""
    yield
    for registry in REGISTRIES:
        for entry in registry.added():
            registry.unregister(entry.name)


def test_every_registry_is_tried_and_listed():
    import importlib

    listed = [getattr(importlib.import_module(each.module), each.attribute) for each in LISTINGS]
    assert set(map(id, listed)) == set(map(id, REGISTRIES))


@every
def test_one_of_a_users_own_is_known_by_its_name_until_it_is_unregistered(registry):
    shipped = list(registry)
    assert registry.register(OWN[registry.noun]) is OWN[registry.noun]
    assert list(registry) == [*shipped, "own"]
    assert registry["own"] is OWN[registry.noun]
    assert registry.added() == (OWN[registry.noun],)
    assert not registry.ships("own")
    registry.unregister("own")
    assert "own" not in registry
    with pytest.raises(KeyError):
        registry.unregister("own")


@every
def test_what_is_none_of_the_kind_is_refused_by_what_it_is_named(registry):
    with pytest.raises(ValueError, match=f"{registry.noun} 'int': found no (class|instance|eval)"):
        registry.register(int)
    assert registry.added() == ()


@every
def test_a_name_that_ships_is_refused(registry):
    entry = registry[next(iter(registry))]
    with pytest.raises(ValueError, match=f"found '{entry.name}', which is an? {registry.noun} "):
        registry.register(entry)


@of_classes
def test_an_unknown_name_is_told_with_those_that_are_allowed(registry):
    allowed = ", ".join(registry)
    with pytest.raises(ValueError, match=f"^found {registry.noun} 'nix', allowed are {allowed}$"):
        registry.make("nix", {})
    registry.register(OWN[registry.noun])
    with pytest.raises(ValueError, match=f"{allowed}, own$"):
        registry.make("nix", {})


@of_classes
def test_an_unknown_option_of_one_that_ships_is_told(registry):
    name = next(iter(registry))
    if registry.noun == "tracker":
        return  # made with a place alone, by `--track NAME:PLACE`
    with pytest.raises(ValueError, match=f"^{registry.noun} {name}: nix: unknown key, allowed are"):
        registry.make(name, {"nix": 1})


@of_classes
def test_every_option_says_its_default_and_what_it_means(registry):
    for name, kind in registry.items():
        assert summary_of(kind), name
        for option in options_of(kind):
            assert option.meaning, f"{name}: {option.name}"
            assert option.default == REQUIRED or "object at" not in option.default
            assert "`" not in option.meaning


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda listing: listing.command)
def test_the_list_command_shows_each_option_with_default_and_meaning(listing, capsys):
    import importlib

    registry = getattr(importlib.import_module(listing.module), listing.attribute)
    registry.register(OWN[registry.noun])
    listing()
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for name, entry in registry.items():
        assert sum(line == name or line.startswith(f"{name} ") for line in lines) == 1
        if isinstance(entry, type):
            for option in options_of(entry):
                shown = f"{option.name}={option.default} {option.meaning}"
                assert " ".join(shown.split()) in lines


@every
def test_results_rest_on_the_source_of_what_they_can_rest_on(registry):
    before = code_version()
    registry.register(OWN[registry.noun])
    assert (code_version() != before) == registry.in_results
    registry.unregister("own")
    assert code_version() == before


@every
def test_another_process_is_told_what_results_rest_on(registry):
    registry.register(OWN[registry.noun])
    told = additions()
    assert [each.entry for each in told] == [OWN[registry.noun]] * registry.in_results
    digest = code_version()
    registry.unregister("own")
    adopt(told)
    assert ("own" in registry) == registry.in_results
    assert code_version() == digest


def make(registry, scenario):
    """A scenario that names the one of a user's own, where a scenario can."""
    return {
        "policy": {"compression": {"policy": "own"}},
        "protocol": {"protocol__kind": "own"},
        "selection": {"protocol__selection": "own"},
        "correction": {"server__correction": "own"},
        "aggregation": {"server__aggregation": "own"},
        "optimizer": {"server__optimizer": "own"},
        "staleness": {
            "protocol": {"kind": "buffered", "staleness": "own", "clients_per_round": 2,
                         "buffer": 2},
        },
        "task": {"task__name": "own"},
        "transport": {"transport": {"kind": "own"}},
        "device": {"fleet__devices": {"own": 1.0}},
        "radio": {"fleet__radio": "own"},
    }.get(registry.noun)  # fmt: skip


@every
def test_a_scenario_takes_its_name(registry, tiny):
    from fsim.core.errors import ScenarioError

    changes = make(registry, tiny)
    if changes is None:
        assert registry.noun in ("format", "trace", "tracker", "figure")
        return
    with pytest.raises(ScenarioError, match="own"):
        tiny(**changes)
    registry.register(OWN[registry.noun])
    assert "own" in tiny(**changes).scenario.to_yaml()


@pytest.mark.slow
def test_a_process_for_jobs_knows_all_and_its_results_have_the_same_source(tiny, tmp_path):
    from fsim.experiments.jobs import Job, Outcome, do_jobs

    for registry in REGISTRIES:
        registry.register(OWN[registry.noun])
    loaded = tiny(
        protocol__rounds=1,
        protocol__selection="own",
        server__optimizer="own",
        server__aggregation="own",
        transport={"kind": "own"},
        fleet__devices={"own": 1.0},
        fleet__radio="own",
        compression={"policy": "own"},
    )
    events = do_jobs(Processes(1), [Job(loaded, tmp_path / "out", None)])
    outcomes = [event for _, event in events if isinstance(event, Outcome)]
    assert [outcome.failure for outcome in outcomes] == [None]
    assert outcomes[0].summary["code_sha256"] == code_version()
    assert outcomes[0].summary["metrics"]["mean_payload_bytes"] == 13  # a header alone


@every
def test_a_class_of_a_function_is_refused_where_other_processes_are(registry, tmp_path):
    from fsim.core.errors import ScenarioError
    from fsim.experiments.engines.registry import make_engine

    own = OWN[registry.noun]
    if isinstance(registry, Catalog):
        inside = dataclass(frozen=True)(type("Inside", (type(own),), {}))
        inside.__qualname__ = "test.<locals>.Inside"
        entry = inside(**{each.name: getattr(own, each.name) for each in fields(own)})
    else:
        decorate = dataclass(frozen=own.__dataclass_params__.frozen)
        entry = decorate(type("Inside", (own,), {}))
        entry.__qualname__ = "test.<locals>.Inside"
    registry.register(entry)
    if registry.in_results:
        with pytest.raises(ScenarioError, match=f"{registry.noun} own: found in a function, from"):
            make_engine("local", 2)
    else:
        make_engine("local", 2).close()


def test_import_asks_no_registry_and_looks_for_no_package():
    text = "import sys, fsim; print('fsim.core.plugins' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_choose_takes_any_mapping():
    assert choose("policy", {"own": OwnPolicy}, "own", {"bits": 3}) == OwnPolicy(3)
