"""Updates in packets, some of them lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.compression import EncodingContext, Policy, make_policy
from fsim.compression.coding.fragments import decode_fragments, encode_fragments
from fsim.core.errors import PayloadError
from fsim.core.types import Layout

SHAPES = {"b.lora_A": (4, 33), "b.lora_B": (17, 4), "a.lora_A": (4, 8), "a.lora_B": (130, 4)}


def example():
    rng = np.random.default_rng(0)
    return {name: rng.laplace(size=shape).astype("f4") for name, shape in SHAPES.items()}


def packets_of(update, packet=100, policy="float32"):
    context = EncodingContext(np.random.default_rng(0))
    return encode_fragments(make_policy(policy, {}), update, context, packet)


def decoded(packets, policy="float32"):
    return decode_fragments(make_policy(policy, {}), packets, Layout.of(example()))


@pytest.mark.parametrize("packet", [3, 20, 100, 1472, 65536])
def test_nothing_lost_nothing_changed(packet):
    update = example()
    packets = packets_of(update, packet)
    assert all(len(each) == packet for each in packets[:-1])
    assert all(np.array_equal(decoded(packets)[name], update[name]) for name in update)


@settings(max_examples=200)
@given(st.data(), st.sampled_from([20, 100, 700]))
def test_a_lost_packet_takes_its_matrices_and_no_others(data, size):
    update = example()
    packets = packets_of(update, size)
    lost = data.draw(st.sets(st.integers(0, len(packets) - 1)))
    found = decoded([None if at in lost else each for at, each in enumerate(packets)])
    # Where each matrix lies in the stream of fragments, all of it float32.
    at = 0
    for name in sorted(update):
        alone = make_policy("float32", {}).encode(
            {name: update[name]}, EncodingContext(np.random.default_rng(0))
        )
        begin, at = at, at + 6 + len(alone)
        touched = set(range(begin // (size - 2), (at - 1) // (size - 2) + 1))
        expected = np.zeros_like(update[name]) if touched & lost else update[name]
        assert np.array_equal(found[name], expected), name


class Watched(Policy):
    """Float32 of all but one matrix, and the contexts that it was given."""

    name = "float32"

    def __init__(self):
        self.contexts = {}

    def trains(self, name, round_number):
        return (name, round_number) != ("b.lora_A", 7)

    def encode(self, update, context):
        (name,) = update
        self.contexts[name] = context
        return make_policy("float32", {}).encode(update, context)

    def decode(self, payload, layout):
        return make_policy("float32", {}).decode(payload, layout)


def test_each_matrix_has_its_own_fisher_memory_and_share_of_the_budget():
    update, watched = example(), Watched()
    fisher = {name: array**2 for name, array in update.items()}
    context = EncodingContext(np.random.default_rng(0), fisher, budget=1000)
    encode_fragments(watched, update, context, 100)
    for name, given_context in watched.contexts.items():
        assert list(given_context.fisher) == [name]
        assert given_context.fisher[name] is fisher[name]
        assert given_context.memory is context.memory[f"matrix {name}"]
    # Of 132 + 68 + 32 + 520 = 752 coordinates; a part of a byte is none.
    budgets = {name: given_context.budget for name, given_context in watched.contexts.items()}
    assert budgets == {"a.lora_A": 42, "a.lora_B": 691, "b.lora_A": 175, "b.lora_B": 90}


def test_a_matrix_that_is_not_trained_has_no_fragment_and_no_budget():
    update, watched = example(), Watched()
    context = EncodingContext(np.random.default_rng(0), round_number=7, budget=1000)
    packets = encode_fragments(watched, update, context, 65536)
    # Of 752 - 132 = 620 coordinates.
    budgets = {name: given_context.budget for name, given_context in watched.contexts.items()}
    assert budgets == {"a.lora_A": 51, "a.lora_B": 838, "b.lora_B": 109}
    found = decode_fragments(watched, packets, Layout.of(update))
    assert not found.pop("b.lora_A").any()
    assert all(np.array_equal(array, update[name]) for name, array in found.items())


def test_what_is_lost_is_float32_like_what_arrives():
    found = decoded([None])
    assert {name: array.shape for name, array in found.items()} == SHAPES
    assert all(array.dtype == np.float32 for array in found.values())


@pytest.mark.parametrize("packet", [0, 2, 65538])
def test_packets_of_a_size_that_cannot_be(packet):
    with pytest.raises(ValueError, match="allowed are 3 to 65536"):
        packets_of(example(), packet)


@settings(max_examples=300)
@given(st.lists(st.one_of(st.none(), st.binary(max_size=60)), max_size=8))
def test_packets_that_are_none(packets):
    """Garbage is refused or stands for nothing: never another error."""
    try:
        found = decoded(packets)
    except PayloadError:
        return
    assert all(not array.any() for array in found.values())
