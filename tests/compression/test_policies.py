"""The harness that every policy passes, whatever it does to the values."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.compression import POLICIES, EncodingContext, make_policy
from fsim.compression.coding.wire import pack, unpack
from fsim.core.errors import PayloadError
from fsim.core.types import Layout

SHAPES = {"b.lora_A": (4, 33), "b.lora_B": (17, 4), "a.lora_A": (4, 8), "a.lora_B": (130, 4)}


def example(seed=0, scale=1e-3):
    rng = np.random.default_rng(seed)
    update = {k: (scale * rng.laplace(size=s)).astype(np.float32) for k, s in SHAPES.items()}
    fisher = {k: rng.gamma(0.1, size=s).astype(np.float32) for k, s in SHAPES.items()}
    return update, fisher


def context(fisher, seed=0):
    return EncodingContext(np.random.default_rng(seed), fisher, seed=seed)


def payload_of(policy, seed=0):
    update, fisher = example(seed)
    return policy.encode(update, context(fisher)), Layout.of(update)


# The gain of masked-sign stands in for clients that send other coordinates: of one update alone it
# makes too much.
OPTIONS = {"masked-sign": {"gain": 1.0}}


@pytest.fixture(params=POLICIES)
def policy(request):
    return make_policy(request.param, OPTIONS.get(request.param, {}))


@pytest.mark.parametrize(("name", "size"), [("float16", 163_854), ("masked-sign", 1_102)])
def test_payload_sizes_worked_by_hand(name, size):
    """Nano's adapter of rank 8: header 13, and what docs/models.md says."""
    widths = [(128, 128)] * 4 + [(128, 384)] * 2 + [(384, 128)]
    update = {}
    for at, (inputs, outputs) in enumerate(4 * widths):
        update[f"{at}.lora_A"] = np.ones((8, inputs), np.float32)
        update[f"{at}.lora_B"] = np.ones((outputs, 8), np.float32)
    assert sum(array.size for array in update.values()) == 81_920
    assert len(make_policy(name, {}).encode(update, context(None))) == size


def squared(update):
    return sum(float(np.sum(array.astype(np.float64) ** 2)) for array in update.values())


def difference(one, other):
    return {name: one[name] - other[name] for name in one}


def test_decoding_gives_the_layout_and_lowers_the_error(policy):
    update, _ = example()
    decoded = policy.decode(*payload_of(policy))
    assert Layout.of(decoded) == Layout.of(update)
    assert all(array.dtype == np.float32 for array in decoded.values())
    assert squared(difference(decoded, update)) < squared(update)


SIDES = st.one_of(st.integers(1, 12), st.integers(1, 300))
LAYOUTS = st.lists(st.tuples(SIDES, SIDES), min_size=2, max_size=4)


@settings(max_examples=25, deadline=None)
@given(shapes=LAYOUTS, seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("name", POLICIES)
def test_any_layout_comes_back(name, shapes, seed):
    rng = np.random.default_rng(seed)
    names = [f"{at}.lora_{'AB'[at % 2]}" for at in range(len(shapes))]
    update = {key: rng.laplace(size=s).astype("f4") for key, s in zip(names, shapes, strict=True)}
    fisher = {key: rng.gamma(0.3, size=array.shape).astype("f4") for key, array in update.items()}
    policy = make_policy(name, {})
    decoded = policy.decode(policy.encode(update, context(fisher, seed)), Layout.of(update))
    assert Layout.of(decoded) == Layout.of(update)
    assert all(np.all(np.isfinite(array)) for array in decoded.values())


# Unbiased policies whose single payload is further from the update than nothing at all would be:
# what they promise is that errors cancel, so that is what is asked of them.
NOISY = [
    ("terngrad", {"clip": 0}),
    ("qsgd", {"bits": 2}),
    ("qsgd", {"bits": 2, "coding": "elias", "scale": "norm"}),
    ("fedpaq", {"bits": 2}),
    ("eden", {"bits": 0.25}),
]


@pytest.mark.parametrize(("name", "options"), NOISY)
def test_errors_of_noisy_policies_cancel(name, options):
    policy = make_policy(name, options)
    update, fisher = example()
    layout = Layout.of(update)
    count, total, error = 400, dict.fromkeys(update, 0.0), 0.0
    for seed in range(1, count + 1):
        decoded = policy.decode(policy.encode(update, context(fisher, seed)), layout)
        error += squared(difference(decoded, update)) / count
        total = {key: total[key] + decoded[key] / count for key in update}
    assert error > squared(update)
    # The mean of independent unbiased draws has the 400th part of one draw's error.
    assert squared(difference(total, update)) == pytest.approx(error / count, rel=0.3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(policy, value):
    for name in SHAPES:
        update, fisher = example()
        update[name][0, 0] = value
        with pytest.raises(ValueError, match=policy.name):
            policy.encode(update, context(fisher))


WITH_FEEDBACK = [
    name
    for name, policy in POLICIES.items()
    if "error_feedback" in {field.name for field in dataclasses.fields(policy)}
]


@pytest.mark.parametrize("name", WITH_FEEDBACK)
def test_the_residual_is_what_the_server_did_not_get(name):
    policy = make_policy(name, {"error_feedback": True})
    memory, before = {}, 0.0
    for seed in range(4):
        update, _ = example(seed)
        layout = Layout.of(update)
        corrected = layout.flatten(update) + np.float32(before)
        payload = policy.encode(
            update, EncodingContext(np.random.default_rng(seed), memory=memory, seed=seed)
        )
        decoded = layout.flatten(policy.decode(payload, layout))
        before = memory["residual"]
        assert np.array_equal(before, corrected - decoded)
        assert before + decoded == pytest.approx(corrected, rel=1e-6, abs=1e-9)
        assert np.any(before)


@pytest.mark.parametrize("name", WITH_FEEDBACK)
def test_without_feedback_no_residual_is_kept(name):
    update, fisher = example()
    one = context(fisher)
    make_policy(name, {"error_feedback": False}).encode(update, one)
    assert "residual" not in one.memory


@pytest.mark.parametrize("shape", [(1,), (1, 1), (3,), (2, 1)])
def test_the_smallest_adapters(policy, shape):
    update = {"w": np.full(shape, 0.5, np.float32)}
    fisher = {"w": np.ones(shape, np.float32)}
    layout = Layout.of(update)
    decoded = policy.decode(policy.encode(update, context(fisher)), layout)
    assert Layout.of(decoded) == layout
    assert np.all(np.isfinite(decoded["w"]))


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


def test_a_payload_without_one_of_its_sections_is_refused(policy):
    rng = np.random.default_rng(0)
    # Signs of 32 coordinates are four bytes, as a scale is.
    update = {f"x.lora_{side}": rng.laplace(size=(4, 4)).astype("f4") for side in "AB"}
    fisher = {name: array**2 for name, array in update.items()}
    layout = Layout.of(update)
    sections = unpack(policy.encode(update, context(fisher)), policy.name, layout)
    for missing in [kind for kind, data in sections.items() if data]:
        rest = {kind: data for kind, data in sections.items() if kind is not missing}
        with pytest.raises(PayloadError):
            policy.decode(pack(policy.name, layout, rest), layout)


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
    ("name", "options"),
    [
        ("qsgd", {"bits": 16, "bucket": 1}),
        ("fedpaq", {"bits": 2}),
        ("fedpaq", {"bits": 16}),
        ("topk", {"ratio": 1}),
        ("stc", {"ratio": 1}),
        ("flasc", {"density": 1}),
        ("powersgd", {"rank": 1}),
        ("eden", {"block": 2}),
        ("eden", {"block": 65536}),
        ("terngrad", {"clip": 0}),
        ("masked-sign", {"share": 1, "share_a": 0, "gain": 1}),
        ("masked-sign", {"share": 1, "share_a": 1, "gain": 1}),
        ("fedbat", {"warmup": 0, "coefficient": 0, "smallest": 1, "largest": 1}),
        ("fedbat", {"warmup": 1}),
        ("tome", {"keep": 1}),
        ("tome", {"keep": 0.5}),
        ("fisher-rdo", {"rate": 8, "floor": 0}),
        ("fstq", {"token_ratio": 1, "share16": 1, "share4": 0, "share2": 0}),
        ("fstq", {"smoothing": 0, "recall": 0, "refresh_every": 1}),
        ("fstq", {"recall": 1}),
    ],
)
def test_the_ends_of_what_options_allow_are_allowed(name, options):
    policy = make_policy(name, options)
    assert Layout.of(policy.decode(*payload_of(policy))) == Layout.of(example()[0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gzip", {}, "found policy 'gzip', allowed are float32"),
        ("qsgd", {"bits": 1}, "bits: found 1, allowed are 2 to 16"),
        ("qsgd", {"bits": 17}, "bits: found 17, allowed are 2 to 16"),
        ("qsgd", {"bucket": 0}, "bucket: found 0"),
        ("qsgd", {"bit": 4}, "bit: unknown key, allowed are bits, bucket, coding, scale"),
        ("qsgd", {"bits": "many"}, "bits: found 'many', allowed is a valid integer"),
        ("qsgd", {"coding": "huffman"}, "coding: found 'huffman'"),
        ("topk", {"ratio": 0}, "ratio: found 0"),
        ("topk", {"ratio": 1.01}, "ratio: found 1.01"),
        ("topk", {"ratio": float("nan")}, "ratio: found nan"),
        ("stc", {"ratio": 0}, "ratio: found 0.0, allowed is above 0 and at most 1"),
        ("stc", {"ratio": 1.5}, "ratio: found 1.5, allowed is above 0 and at most 1"),
        ("flasc", {"density": 0}, "density: found 0"),
        ("flasc", {"density": 1.01}, "density: found 1.01"),
        ("masked-sign", {"share": 0}, "share: found 0.0"),
        ("masked-sign", {"share": 1.01}, "share: found 1.01"),
        ("masked-sign", {"share_a": -0.01}, "share_a: found -0.01, allowed is 0 to 1"),
        ("masked-sign", {"share_a": 1.01}, "share_a: found 1.01"),
        ("masked-sign", {"gain": 0}, "gain: found 0.0, allowed is above 0"),
        ("fedbat", {"warmup": -0.01}, "warmup: found -0.01, allowed are 0 to 1"),
        ("fedbat", {"warmup": 1.01}, "warmup: found 1.01"),
        ("fedbat", {"coefficient": -0.01}, "coefficient: found -0.01, allowed is 0 or more"),
        ("fedbat", {"smallest": 0}, "smallest: found 0.0, allowed is above 0"),
        ("fedbat", {"smallest": 2, "largest": 1}, "largest: found 1.0, allowed is 2.0 or more"),
        ("terngrad", {"clip": -1}, "clip: found -1.0, allowed is 0 or more"),
        ("terngrad", {"clip": float("inf")}, "clip: found inf, allowed is 0 or more"),
        ("fedpaq", {"bits": 1}, "bits: found 1, allowed are 2 to 16"),
        ("fedpaq", {"bits": 17}, "bits: found 17, allowed are 2 to 16"),
        ("fedpaq", {"scale": "bucket"}, "scale: found 'bucket'"),
        ("powersgd", {"rank": 0}, "rank: found 0, allowed is 1 or more"),
        ("powersgd", {"dtype": "float64"}, "dtype: found 'float64'"),
        ("eden", {"bits": 1.5}, "bits: found 1.5, allowed are 1, 2, 3, 4 and above 0 below 1"),
        ("eden", {"bits": 0}, "bits: found 0.0, allowed are 1, 2, 3, 4 and above 0 below 1"),
        ("eden", {"block": 1}, "block: found 1, allowed are powers of two, 2 to 65536"),
        ("eden", {"block": 131072}, "block: found 131072, allowed are powers of two, 2 to 65536"),
        ("eden", {"block": 100}, "block: found 100, allowed are powers of two, 2 to 65536"),
        ("tome", {"keep": 1.01}, "keep: found 1.01, allowed are 0.5 to 1"),
        ("fstq", {"token_ratio": 0}, "token_ratio: found 0.0, allowed is above 0 and at most 1"),
        ("fstq", {"token_ratio": 1.5}, "token_ratio: found 1.5"),
        ("fstq", {"share16": 0, "share4": 0, "share2": 0}, "sum to more than 0 and at most 1"),
        ("fstq", {"share16": -0.01}, "allowed are shares of 0 or more"),
        ("fstq", {"recall": 1.01}, "recall: found 1.01, allowed is 0 to 1"),
        ("fstq", {"smoothing": -0.01}, "smoothing: found -0.01, allowed is 0 or more, below 1"),
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
