"""Token merging as a policy: what it asks of training, and bytes of the policy inside."""

import numpy as np
import pytest

from fsim.compression import POLICIES, EncodingContext, make_policy
from fsim.compression.coding.wire import HEADER_BYTES, breakdown
from fsim.compression.wrapper import Wrapper
from fsim.core.types import Layout, MergingSettings

INNER = [name for name, policy in POLICIES.items() if not issubclass(policy, Wrapper)]


def example():
    rng = np.random.default_rng(0)
    shapes = {"x.lora_A.weight": (4, 30), "x.lora_B.weight": (20, 4)}
    return {name: rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}


def context_of(update):
    fisher = {name: value**2 for name, value in update.items()}
    return EncodingContext(np.random.default_rng(0), fisher)


@pytest.mark.parametrize("inner", INNER)
def test_a_payload_is_the_inner_policys_but_for_its_header(inner):
    update = example()
    policy, plain = make_policy("tome", {"inner": inner}), make_policy(inner, {})
    payload = policy.encode(update, context_of(update))
    expected = plain.encode(update, context_of(update))
    assert payload[HEADER_BYTES:] == expected[HEADER_BYTES:]
    assert breakdown(payload) == breakdown(expected)
    layout = Layout.of(update)
    decoded, same = policy.decode(payload, layout), plain.decode(expected, layout)
    assert all(np.array_equal(decoded[name], same[name]) for name in update)
    assert policy.keeps_to_budget == plain.keeps_to_budget


def test_error_feedback_and_budgets_are_the_inner_policys():
    update = example()
    one = EncodingContext(np.random.default_rng(0))
    make_policy("tome", {"inner": "signsgd"}).encode(update, one)
    assert list(one.memory) == ["residual"]
    tight = EncodingContext(
        np.random.default_rng(0), {k: v**2 for k, v in update.items()}, budget=99
    )
    assert len(make_policy("tome", {"inner": "fisher-rdo"}).encode(update, tight)) <= 99


def test_what_is_asked_of_training():
    policy = make_policy("tome", {"keep": 0.75, "after": 2, "proportional": False})
    assert policy.training_request().merging == MergingSettings(0.75, 2, False)
    assert policy.training_request().sensitivity is None
    both = make_policy("tome", {"inner": "fstq:token_ratio=0.25"}).training_request()
    assert both.merging == MergingSettings(0.5, 1, True)
    assert both.sensitivity.token_ratio == 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 0.4}, "keep: found 0.4, allowed are 0.5 to 1"),
        ({"keep": float("nan")}, "keep: found nan"),
        ({"after": 0}, "after: found 0, allowed is 1 or more"),
        ({"inner": "tome"}, "inner: found 'tome', allowed is a policy with none inside"),
        ({"inner": "ffa"}, "inner: found 'ffa', allowed is a policy with none inside"),
        ({"inner": "fstq:mask=inputs"}, "inner: found mask 'inputs'"),
        ({"inner": "zip"}, "found policy 'zip'"),
        ({"ratio": 1}, "ratio: unknown key, allowed are"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is checked below
        make_policy("tome", options)
    assert message in str(caught.value)
