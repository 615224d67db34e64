"""Signs of a pseudo-random share of the coordinates."""

import dataclasses

import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import HEADER_BYTES
from fsim.core.errors import PayloadError
from fsim.core.types import Layout


def coded(update, seed=7, **options):
    policy = make_policy("masked-sign", options)
    context = EncodingContext(np.random.default_rng(0), seed=seed)
    payload = policy.encode(update, context)
    return payload, policy.decode(payload, Layout.of(update))


def example(shape=(100, 20), name="x.lora_B"):
    return {name: np.random.default_rng(0).laplace(size=shape).astype("f4") * 1e-3}


def test_signs_times_gain_times_the_mean_magnitude():
    update = example()
    _, decoded = coded(update, share=0.25, gain=3.0)
    (values,), (found,) = update.values(), decoded.values()
    sent = found != 0
    assert sent.sum() == 500
    assert np.array_equal(np.sign(found[sent]), np.sign(values[sent]))
    # Scales are in steps of a sixth of an octave: half a step is 6%.
    np.testing.assert_allclose(np.abs(found[sent]), 3 * np.abs(values).mean(), rtol=0.06)


def test_positions_cost_no_bits():
    payload, _ = coded(example(), share=0.25)
    # Seed 4 bytes, scale 1, 500 signs in 63 bytes; 2 bytes a section before the last, 1 for it.
    assert len(payload) == HEADER_BYTES + 2 + 4 + 2 + 1 + 1 + 63


def test_other_seeds_send_other_coordinates():
    chosen = [coded(example(), seed=seed, share=0.1)[1]["x.lora_B"] != 0 for seed in range(200)]
    # Each coordinate is sent by a tenth of them: 20 of 200, give or take 5 standard deviations.
    counts = np.sum(chosen, axis=0)
    assert counts.mean() == pytest.approx(20)
    assert counts.max() < 20 + 5 * np.sqrt(200 * 0.1 * 0.9)
    assert counts.min() > 0


def test_the_same_coordinates_everywhere():
    update = {"x.lora_B": np.ones((1, 10), np.float32)}
    _, decoded = coded(update, seed=5, share=0.3, gain=1.0)
    # The three smallest of the first ten raw numbers of PCG64(5), by numpy 2.4.6 on x86-64.
    assert np.flatnonzero(decoded["x.lora_B"]).tolist() == [4, 7, 8]


def test_a_and_b_may_have_shares_of_their_own():
    update = example() | example((8, 50), "x.lora_A")
    _, decoded = coded(update, share=0.5, share_a=0.0)
    assert not decoded["x.lora_A"].any()
    assert (decoded["x.lora_B"] != 0).sum() == 1000
    _, decoded = coded(update, share=0.5, share_a=0.1)
    assert (decoded["x.lora_A"] != 0).sum() == 40


def test_scales_over_many_magnitudes():
    for magnitude in (1e-9, 1e-5, 0.3, 500.0):
        _, decoded = coded({"x": np.full((4, 4), magnitude, np.float32)}, share=1.0, gain=1.0)
        np.testing.assert_allclose(decoded["x"], magnitude, rtol=0.06)


def test_a_payload_for_another_share_is_refused():
    payload, _ = coded(example(), share=0.25)
    other = make_policy("masked-sign", {"share": 0.5})
    with pytest.raises(PayloadError, match="packed bytes"):
        other.decode(payload, Layout.of(example()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0}, "share: found 0"),
        ({"share": 1.1}, "share: found 1.1"),
        ({"share_a": -0.1}, "share_a: found -0.1"),
        ({"gain": 0}, "gain: found 0"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        make_policy("masked-sign", options)


def test_the_context_is_left_alone():
    context = EncodingContext(np.random.default_rng(0), seed=3)
    before = dataclasses.replace(context)
    make_policy("masked-sign", {}).encode(example(), context)
    assert context.memory == before.memory == {}
