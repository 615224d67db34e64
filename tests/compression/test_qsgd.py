import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.vocabulary import Layout

VALUES = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
LAYOUT = Layout.of({"w": VALUES})


def decode(bits, seed, bucket=512, values=VALUES):
    policy = make_policy("qsgd", {"bits": bits, "bucket": bucket})
    payload = policy.encode({"w": values}, EncodingContext(np.random.default_rng(seed)))
    return payload, policy.decode(payload, LAYOUT)["w"]


@pytest.mark.parametrize("bits", [2, 4, 8, 13])
def test_size_is_scales_and_packed_levels(bits):
    payload, _ = decode(bits, 0)
    assert len(payload) == 16 + 2 * 5 + 2 * 4 + (1000 * bits + 7) // 8


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_unbiased(bits):
    draws = np.mean([decode(bits, seed)[1] for seed in range(400)], axis=0)
    step = np.abs(VALUES).max() / (2 ** (bits - 1) - 1)
    # Rounding up by chance has a standard deviation of at most half a step.
    assert np.abs(draws - VALUES).max() < 5 * step / 2 / np.sqrt(400)


def test_every_coordinate_is_one_of_its_two_neighbouring_levels():
    _, decoded = decode(4, 0, bucket=1000)
    step = np.abs(VALUES).max() / 7
    assert np.abs(decoded - VALUES).max() < step * (1 + 1e-5)
    levels = decoded / step
    assert np.abs(levels - np.rint(levels)).max() < 1e-4
    assert np.all(decoded * VALUES >= 0)


def test_a_bucket_of_one_is_exact():
    _, decoded = decode(2, 0, bucket=1)
    assert np.array_equal(decoded, VALUES)
