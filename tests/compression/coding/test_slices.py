"""Updates in packets, each of which decodes alone."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.compression import EncodingContext, Policy, make_policy
from fsim.compression.coding.slices import decode_slices, encode_slices, trained_names
from fsim.compression.policies.powersgd import PowerSgd
from fsim.compression.policy import POLICIES
from fsim.compression.wrapper import Wrapper
from fsim.core.errors import PayloadError
from fsim.core.types import Layout
from fsim.network.transports.packets import DATAGRAM_PAYLOAD

SHAPES = {"b.lora_A": (4, 33), "b.lora_B": (17, 4), "a.lora_A": (4, 8), "a.lora_B": (130, 4)}
SHIPPED = sorted(POLICIES)
COORDINATE_BY_COORDINATE = [name for name in SHIPPED if name not in ("eden", "powersgd")]
FIXED_LENGTH = [name for name in COORDINATE_BY_COORDINATE if name != "fisher-rdo"]
"""All but those that mix coordinates or, at their defaults, code them by entropy."""


def example(shapes=None):
    rng = np.random.default_rng(0)
    return {n: rng.laplace(size=s).astype("f4") for n, s in (shapes or SHAPES).items()}


def large():
    """Seven adapted matrices in each of four layers, as in nano."""
    shapes = {}
    for layer in range(4):
        for part in "qkvogud":
            shapes |= {
                f"{layer}.{part}.lora_A.weight": (8, 128),
                f"{layer}.{part}.lora_B.weight": (128, 8),
            }
    return {name: array * np.float32(1e-3) for name, array in example(shapes).items()}


def context_of(update, **more):
    rng = np.random.default_rng(1)
    fisher = {name: rng.lognormal(size=array.shape).astype("f4") for name, array in update.items()}
    return EncodingContext(np.random.default_rng(2), fisher, seed=3, round_number=1, **more)


def packets_of(update, packet=100, policy="float32", **more):
    return encode_slices(make_policy(policy, {}), update, context_of(update, **more), packet)


def decoded(packets, update, policy="float32"):
    made = make_policy(policy, {})
    trained = trained_names(made, tuple(update), 1)
    return decode_slices(made, packets, Layout.of(update), trained)


def without(packets, lost):
    return [None if at in lost else packet for at, packet in enumerate(packets)]


@pytest.mark.parametrize("packet", [40, 100, 1472, 65536])
def test_nothing_lost_nothing_changed(packet):
    update = example()
    packets = packets_of(update, packet)
    assert max(map(len, packets)) <= packet
    found, coverage = decoded(packets, update)
    assert all(np.array_equal(found[name], update[name]) for name in update)
    assert all(arrived.all() for arrived in coverage.values())


@settings(max_examples=100)
@given(st.data(), st.sampled_from([40, 100, 700]))
def test_a_lost_packet_takes_its_coordinates_and_no_others(data, size):
    update = example()
    packets = packets_of(update, size)
    lost = data.draw(st.sets(st.integers(0, len(packets) - 1)))
    found, coverage = decoded(without(packets, lost), update)
    gone = 0
    for name, arrived in coverage.items():
        assert np.array_equal(found[name], np.where(arrived, update[name], 0))
        gone += np.count_nonzero(~arrived)
    each = [decoded(without(packets, set(range(len(packets))) - {at}), update)[1] for at in lost]
    assert gone == sum(arrived.sum() for cover in each for arrived in cover.values())


@pytest.mark.parametrize("name", SHIPPED)
def test_every_policy_reads_each_packet_without_the_others(name):
    update = large()
    budget = {"budget": 20_000} if make_policy(name, {}).keeps_to_budget else {}
    packets = packets_of(update, 400, name, **budget)
    assert max(map(len, packets)) <= 400
    whole, _ = decoded(packets, update, name)
    seen = {key: np.zeros(array.shape, dtype=int) for key, array in update.items()}
    for at in range(len(packets)):
        only = without(packets, set(range(len(packets))) - {at})
        found, coverage = decoded(only, update, name)
        for key in trained_names(make_policy(name, {}), tuple(update), 1):
            assert np.array_equal(found[key], np.where(coverage[key], whole[key], 0)), key
            seen[key] += coverage[key]
    for key in trained_names(make_policy(name, {}), tuple(update), 1):
        # A matrix of powersgd in several packets is read from all of them together only.
        assert seen[key].max() <= 1
        assert name == "powersgd" or seen[key].min() == 1


@pytest.mark.parametrize("name", COORDINATE_BY_COORDINATE)
def test_what_survives_is_the_share_of_packets_that_arrive(name):
    update, policy = large(), make_policy(name, {})
    packets = packets_of(update, 200, name)
    trained = trained_names(policy, tuple(update), 1)
    sizes = []
    for at in range(len(packets)):
        _, coverage = decoded(without(packets, set(range(len(packets))) - {at}), update, name)
        sizes.append(sum(np.count_nonzero(coverage[key]) for key in trained))
    # Every packet is lost with the same probability: the mean share is 1 - p whatever their sizes,
    # as long as they are parts of a whole.
    assert sum(sizes) == sum(update[key].size for key in trained)


@pytest.mark.parametrize("name", FIXED_LENGTH)
def test_the_packet_form_is_hardly_longer(name):
    update = large()
    whole = len(make_policy(name, {}).encode(update, context_of(update)))
    packets = packets_of(update, DATAGRAM_PAYLOAD, name)
    assert sum(map(len, packets)) <= 1.03 * whole


@pytest.mark.parametrize("inner", ["float16", "qsgd", "fstq", "masked-sign:share=0.5"])
@pytest.mark.parametrize("wrapper", [n for n in SHIPPED if issubclass(POLICIES[n], Wrapper)])
def test_wrappers_as_well(wrapper, inner):
    update, policy = large(), make_policy(wrapper, {"inner": inner})
    whole = policy.encode(update, context_of(update))
    packets = encode_slices(policy, update, context_of(update), DATAGRAM_PAYLOAD)
    assert sum(map(len, packets)) <= 1.03 * len(whole)
    trained = trained_names(policy, tuple(update), 1)
    found, coverage = decode_slices(policy, packets, Layout.of(update), trained)
    assert set(found) == set(coverage) == set(update)
    assert all(found[name].any() == (name in trained) for name in update)
    # What is not trained is not missing.
    _, empty = decode_slices(policy, [None] * len(packets), Layout.of(update), trained)
    assert all(empty[name].all() == (name not in trained) for name in update)


def test_error_feedback_is_kept_coordinate_by_coordinate():
    update = large()
    policy = make_policy("signsgd", {})
    context = context_of(update)
    layout = Layout.of(update)
    for packet in (300, 700):
        before = context.memory.get("residual", np.zeros(layout.size, "f4")).copy()
        packets = encode_slices(policy, update, context, packet)
        found, _ = decoded(packets, update, "signsgd")
        # What was to be sent is what was sent and what is left.
        left = layout.flatten(update) + before - layout.flatten(found)
        assert np.allclose(context.memory["residual"], left, atol=1e-7)


def test_a_residual_of_another_layout_is_refused():
    update = example()
    context = context_of(update)
    context.memory["residual"] = np.zeros(5, "f4")
    with pytest.raises(ValueError, match="residual has 5 coordinates, the update 752"):
        encode_slices(make_policy("signsgd", {}), update, context, 300)


def test_slices_draw_places_of_their_own():
    update = {"a.lora_B": np.ones(4000, "f4")}
    policy = make_policy("masked-sign", {"share": 0.5})
    packets = encode_slices(policy, update, context_of(update), 100)
    found, _ = decode_slices(policy, packets, Layout.of(update), ("a.lora_B",))
    sent = found["a.lora_B"] != 0
    (first, *_) = decode_slices(policy, packets[:1], Layout.of(update), ("a.lora_B",))
    length = int(np.flatnonzero(first["a.lora_B"])[-1]) + 1
    assert not np.array_equal(sent[:length], sent[length : 2 * length])


def test_a_budget_is_shared_out():
    update = large()
    for budget in (2_000, 9_000, 30_000):
        packets = packets_of(update, DATAGRAM_PAYLOAD, "fisher-rdo", budget=budget)
        assert sum(map(len, packets)) <= budget


class Watched(Policy):
    """Float32 of all but one matrix, and the names that it was given."""

    name = "float32"

    def __init__(self):
        self.names = []

    def trains(self, name, round_number):
        return name != "b.lora_A"

    def encode(self, update, context):
        assert set(context.fisher) == set(update)
        assert all(context.fisher[name].shape == update[name].shape for name in update)
        self.names.append(tuple(update))
        return make_policy("float32", {}).encode(update, context)

    def decode(self, payload, layout):
        return make_policy("float32", {}).decode(payload, layout)


def test_a_matrix_that_is_not_trained_is_in_no_packet():
    update, watched = example(), Watched()
    packets = encode_slices(watched, update, context_of(update), 65536)
    assert watched.names[-1] == ("a.lora_A", "a.lora_B", "b.lora_B")
    trained = trained_names(watched, tuple(update), 1)
    found, _ = decode_slices(watched, packets, Layout.of(update), trained)
    assert not found.pop("b.lora_A").any()
    assert all(np.array_equal(array, update[name]) for name, array in found.items())


def test_of_a_matrix_in_several_packets_all_must_arrive():
    update = {"a": np.random.default_rng(0).normal(size=(300, 200)).astype("f4"), "b": np.ones(3)}
    update["b"] = update["b"].astype("f4")
    policy = PowerSgd(rank=2)
    packets = encode_slices(policy, update, context_of(update), 500)
    layout, names = Layout.of(update), ("a", "b")
    whole, coverage = decode_slices(policy, packets, layout, names)
    assert all(arrived.all() for arrived in coverage.values())
    assert whole["a"].any()
    for at in range(len(packets) - 1):
        found, coverage = decode_slices(policy, without(packets, {at}), layout, names)
        assert not coverage["a"].any()
        assert not found["a"].any()
        assert coverage["b"].all()


@pytest.mark.parametrize("packet", [1, 2, 8])
def test_packets_in_which_nothing_has_room(packet):
    with pytest.raises(ValueError, match="room"):
        packets_of(example(), packet)


@settings(max_examples=300)
@given(st.lists(st.one_of(st.none(), st.binary(max_size=60)), max_size=8))
def test_packets_that_are_none(packets):
    """Garbage is refused or stands for nothing: never another error."""
    try:
        found, coverage = decoded(packets, example())
    except PayloadError:
        return
    assert all(not array.any() for array in found.values())
    assert not any(arrived.any() for arrived in coverage.values())


def test_encoding_twice_makes_the_same_packets():
    update = large()
    for name in SHIPPED:
        policy = make_policy(name, {})
        twice = [encode_slices(policy, update, context_of(update), 300) for _ in range(2)]
        assert twice[0] == twice[1], name


def test_a_context_keeps_its_own_seed():
    context = context_of(example())
    before = dataclasses.replace(context)
    encode_slices(make_policy("eden", {}), example(), context, 300)
    assert context.seed == before.seed
