"""Policies of one's own, registered from outside of fsim."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from fsim.compression import POLICIES, Policy, make_policy, register
from fsim.compression.coding.wire import Section, pack, section_array, unpack
from fsim.core.sources import source_of
from fsim.core.types import Layout


@dataclass(frozen=True)
class Doubles(Policy):
    """Every coordinate in eight bytes."""

    name: ClassVar[str] = "doubles"

    scale: float = 1.0

    def encode(self, update, context):
        layout = Layout.of(update)
        values = layout.flatten(update).astype("<f8") * self.scale
        return pack(self.name, layout, {Section.VALUES: values.tobytes()})

    def decode(self, payload, layout):
        sections = unpack(payload, self.name, layout)
        values = section_array(sections, Section.VALUES, "<f8", layout.size) / self.scale
        return layout.unflatten(values.astype(np.float32))


@pytest.fixture(autouse=True)
def forgotten():
    """What a test registers is gone after it."""
    yield
    for policy in POLICIES.added():
        POLICIES.unregister(policy.name)


def test_a_registered_policy_is_used_by_its_name_and_options(tiny):
    assert register(Doubles) is Doubles
    assert make_policy("doubles", {"scale": 2}) == Doubles(scale=2.0)
    assert (
        tiny(compression={"policy": "doubles", "scale": 4}).scenario.compression.make().scale == 4
    )
    with pytest.raises(ValueError, match="policy doubles: bits: "):
        make_policy("doubles", {"bits": 2})
    assert POLICIES.added() == (Doubles,)


def test_a_run_bills_its_bytes(tiny):
    from fsim.simulation.run import simulate

    register(Doubles)
    run = simulate(tiny(compression={"policy": "doubles"}, protocol__rounds=1))
    size = run.facts["adapter_parameters"]
    # A header of 13 bytes, the kind of the only section, and eight bytes a coordinate.
    assert run.metrics.mean_payload_bytes == 13 + 1 + 8 * size


def test_a_second_one_of_a_name_takes_the_place_of_the_first():
    register(Doubles)
    again = dataclass(frozen=True)(type("Again", (Doubles,), {"name": "doubles"}))
    register(again)
    assert POLICIES.added() == (again,)


def fault(**changes):
    return dataclass(frozen=True)(type("Faulty", (Doubles,), changes))


@dataclass(frozen=True)
class Half(Policy):
    name: ClassVar[str] = "half"

    def encode(self, update, context):
        return b""


@dataclass(frozen=True)
class Bare(Policy):
    name: ClassVar[str] = "bare"

    bits: int

    encode, decode = Doubles.encode, Doubles.decode


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (int, "'int': found no class derived from fsim.compression.Policy"),
        (Doubles(), "found no class derived"),
        (Half, "'Half': found no decode, which every policy has"),
        (type("Plain", (Doubles,), {"name": "plain"}), "'Plain': found no @dataclass"),
        (Bare, "'Bare': bits: found no default"),
        (fault(name="float16"), "found 'float16', which is a policy that ships"),
        (fault(name="a:b"), "name: found 'a:b', allowed are letters"),
        (fault(name=None), "name: found None"),
    ],
)
def test_what_is_no_policy_is_refused(given, told):
    with pytest.raises(ValueError, match=told):
        register(given)
    assert POLICIES.added() == ()


def test_results_rest_on_the_source_of_registered_policies():
    from fsim.experiments.run import code_version

    plain = code_version()
    assert code_version() == plain
    register(Doubles)
    assert code_version() != plain
    assert "Every coordinate in eight bytes" in source_of(Doubles)


def test_a_class_of_a_notebook_is_known_by_its_methods():
    def policy_from(line):
        space = {"Doubles": Doubles, "dataclass": dataclass, "__name__": "no_module"}
        text = "@dataclass(frozen=True)\nclass One(Doubles):\n    scale: float = " + line
        exec(text, space)
        return space["One"]

    one, other = policy_from("1.5"), policy_from("2.5")
    assert source_of(one) == source_of(policy_from("1.5"))
    assert source_of(one) != source_of(other)


def test_a_class_that_no_process_could_import_is_refused(tiny):
    from fsim.core.errors import ScenarioError
    from fsim.experiments.engines.registry import make_engine

    @dataclass(frozen=True)
    class Inside(Doubles):
        name: ClassVar[str] = "inside"

    register(Inside)
    with pytest.raises(ScenarioError, match="policy inside: found in a function, from which"):
        make_engine("local", 2)
    make_engine("local", None).close()


@pytest.mark.slow
def test_other_processes_know_it(tiny, tmp_path):
    from fsim.experiments.compare import compare

    register(Doubles)
    table = compare(
        tiny(protocol__rounds=1), ["float32", "doubles"], tmp_path / "out", "float32", 1
    )
    assert table["status"].tolist() == ["completed", "completed"]
    assert table["mean_payload_bytes"].diff()[1] > 0
