"""One of LoRA's factors at a time."""

import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.core.errors import PayloadError
from fsim.core.types import Layout

SHAPES = {"x.lora_A.weight": (4, 30), "x.lora_B.weight": (20, 4)}


def example():
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype("f4") for name, shape in SHAPES.items()}


def coded(name, round_number, **options):
    policy, update = make_policy(name, options), example()
    context = EncodingContext(np.random.default_rng(0), round_number=round_number)
    payload = policy.encode(update, context)
    return payload, policy.decode(payload, Layout.of(update)), context


def test_ffa_sends_b_alone():
    payload, decoded, _ = coded("ffa", 2, inner="float32")
    assert np.array_equal(decoded["x.lora_B.weight"], example()["x.lora_B.weight"])
    assert not decoded["x.lora_A.weight"].any()
    assert 4 * 80 < len(payload) < 4 * 80 + 40


@pytest.mark.parametrize(("round_number", "sent"), [(1, "B"), (2, "A"), (3, "B"), (4, "A")])
def test_alternating_begins_with_b(round_number, sent):
    _, decoded, _ = coded("alternating", round_number, inner="float32")
    assert [name for name in decoded if decoded[name].any()] == [f"x.lora_{sent}.weight"]
    policy = make_policy("alternating", {})
    assert [name for name in SHAPES if policy.trains(name, round_number)] == [
        f"x.lora_{sent}.weight"
    ]


def test_each_factor_has_a_memory_of_its_own():
    *_, context = coded("alternating", 2, inner="signsgd")
    assert list(context.memory) == ["factor A"]


def test_what_the_inner_policy_measures_is_measured():
    assert make_policy("ffa", {"inner": "fstq"}).training_request().sensitivity is not None
    assert make_policy("ffa", {}).training_request().sensitivity is None


@pytest.mark.parametrize("name", ["ffa", "alternating"])
def test_a_budget_holds_for_the_whole_payload(name):
    """Beyond 300 coordinates of a factor, two bits each and a frame inside a frame."""
    shapes = {"x.lora_A.weight": (40, 30), "x.lora_B.weight": (30, 40)}
    rng = np.random.default_rng(0)
    update = {key: rng.laplace(size=shape).astype("f4") for key, shape in shapes.items()}
    policy = make_policy(name, {"inner": "fisher-rdo"})
    assert policy.keeps_to_budget
    context = EncodingContext(rng, fisher={k: v**2 for k, v in update.items()}, budget=350)
    assert 300 < len(policy.encode(update, context)) <= 350


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inner": "ffa"}, "inner: found 'ffa'"),
        ({"inner": "zip"}, "found policy 'zip'"),
        ({"inner": "qsgd:bits=1"}, "bits: found 1"),
    ],
)
def test_inner_policies_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        make_policy("alternating", options)


def test_an_update_without_factors_is_refused():
    context = EncodingContext(np.random.default_rng(0))
    with pytest.raises(ValueError, match="both of LoRA's factors"):
        make_policy("ffa", {}).encode({"x.lora_A": np.ones((2, 2), "f4")}, context)


def test_a_payload_of_no_factor_is_refused():
    from fsim.compression.coding.wire import Section, pack

    layout = Layout.of(example())
    with pytest.raises(PayloadError, match="allowed are A and B"):
        make_policy("ffa", {}).decode(pack("ffa", layout, {Section.VALUES: b"C"}), layout)
