"""The harness that every policy passes, whatever it does to the values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.compression import POLICIES, EncodingContext, make_policy
from fsim.errors import PayloadError
from fsim.vocabulary import Layout

SHAPES = {"b.lora_A": (4, 33), "b.lora_B": (17, 4), "a.lora_A": (4, 8), "a.lora_B": (130, 4)}


def example(seed=0, scale=1e-3):
    rng = np.random.default_rng(seed)
    update = {k: (scale * rng.laplace(size=s)).astype(np.float32) for k, s in SHAPES.items()}
    fisher = {k: rng.gamma(0.1, size=s).astype(np.float32) for k, s in SHAPES.items()}
    return update, fisher


def context(fisher, seed=0):
    return EncodingContext(np.random.default_rng(seed), fisher)


def payload_of(policy, seed=0):
    update, fisher = example(seed)
    return policy.encode(update, context(fisher)), Layout.of(update)


@pytest.fixture(params=POLICIES)
def policy(request):
    return make_policy(request.param, {})


def test_decoding_gives_the_layout_and_lowers_the_error(policy):
    update, _ = example()
    decoded = policy.decode(*payload_of(policy))
    assert Layout.of(decoded) == Layout.of(update)
    assert all(array.dtype == np.float32 for array in decoded.values())
    error = sum(np.sum((decoded[k] - update[k]) ** 2) for k in update)
    assert error < sum(np.sum(update[k] ** 2) for k in update)


def test_encoding_is_the_same_every_time_and_leaves_the_update_alone(policy):
    update, fisher = example()
    before = {k: v.copy() for k, v in update.items()}
    assert policy.encode(update, context(fisher)) == policy.encode(update, context(fisher))
    assert all(np.array_equal(before[k], update[k]) for k in update)


def test_an_update_of_zeros(policy):
    _, fisher = example()
    zeros = {k: np.zeros(s, np.float32) for k, s in SHAPES.items()}
    decoded = policy.decode(policy.encode(zeros, context(fisher)), Layout.of(zeros))
    assert all(np.array_equal(decoded[k], zeros[k]) for k in zeros)


def test_a_payload_of_another_policy_or_layout_is_refused(policy):
    payload, layout = payload_of(policy)
    for other in POLICIES:
        if other != policy.name:
            with pytest.raises(PayloadError, match="not encoded by"):
                make_policy(other, {}).decode(payload, layout)
    update, _ = example()
    update.pop("a.lora_A")
    with pytest.raises(PayloadError, match="another adapter layout"):
        policy.decode(payload, Layout.of(update))


@settings(max_examples=300)
@given(st.sampled_from(sorted(POLICIES)), st.data())
def test_damaged_payloads_raise_one_error(name, data):
    policy = make_policy(name, {})
    payload, layout = payload_of(policy)
    kind = data.draw(st.sampled_from(["truncate", "flip", "extend"]))
    if kind == "truncate":
        damaged = payload[: data.draw(st.integers(0, len(payload) - 1))]
    elif kind == "extend":
        damaged = payload + data.draw(st.binary(min_size=1, max_size=9))
    else:
        at = data.draw(st.integers(0, len(payload) - 1))
        flipped = payload[at] ^ data.draw(st.integers(1, 255))
        damaged = payload[:at] + bytes([flipped]) + payload[at + 1 :]
    with pytest.raises(PayloadError):
        policy.decode(damaged, layout)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gzip", {}, "found policy 'gzip', allowed are float32"),
        ("qsgd", {"bits": 1}, "bits: found 1, allowed are 2 to 16"),
        ("qsgd", {"bucket": 0}, "bucket: found 0"),
        ("qsgd", {"bit": 4}, "bit: unknown key, allowed are bits, bucket"),
        ("qsgd", {"bits": "many"}, "bits: found 'many', allowed is a valid integer"),
        ("topk", {"ratio": 0}, "ratio: found 0"),
        ("fstq", {"token_ratio": 1.5}, "token_ratio: found 1.5"),
        ("fstq", {"share16": 0.5, "share4": 0.6}, "sum to more than 0 and at most 1"),
        ("fstq", {"refresh_every": 0}, "refresh_every: found 0"),
        ("fstq", {"smoothing": 1}, "smoothing: found 1"),
        ("float16", {"bits": 4}, "bits: unknown key, allowed are none"),
    ],
)
def test_wrong_options_are_refused(name, options, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is checked below
        make_policy(name, options)
    assert message in str(caught.value)
