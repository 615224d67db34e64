import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import Section, framed_length, pack
from fsim.core.errors import PayloadError
from fsim.core.types import Layout


def coded(update, seed=0, **options):
    policy = make_policy("fedpaq", options)
    payload = policy.encode(update, EncodingContext(np.random.default_rng(seed)))
    return payload, policy.decode(payload, Layout.of(update))


def test_norms_worked_by_hand():
    # Two bits have one level: 0 or the norm, 5; alone in its matrix -2 is its norm.
    update = {"a": np.array([3, 4, 0], np.float32), "b": np.array([-2], np.float32)}
    payload, decoded = coded(update, bits=2, scale="matrix")
    assert set(decoded["a"].tolist()) <= {0, 5}
    assert decoded["a"][2] == 0
    assert decoded["b"].tolist() == [-2]
    assert len(payload) == framed_length([8, 1])
    payload, decoded = coded({"a": np.array([0, -7, 0], np.float32)})
    assert decoded["a"].tolist() == [0, -7, 0]
    assert len(payload) == framed_length([4, 3])


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_unbiased_within_the_papers_variance(bits):
    # Assumption 1 with the quantiser of example 1: E||Q(x) - x||^2 <= q ||x||^2 and
    # q = min(n / s^2, sqrt(n) / s).
    size, levels = 300, 2 ** (bits - 1) - 1
    update = {"w": np.random.default_rng(10**6).laplace(size=size).astype(np.float32)}
    draws = np.array([coded(update, seed, bits=bits)[1]["w"] for seed in range(400)])
    norm = np.linalg.norm(update["w"])
    errors = np.sum((draws - update["w"]) ** 2, axis=1)
    assert errors.mean() < min(size / levels**2, np.sqrt(size) / levels) * norm**2
    # Rounding by chance has a standard deviation of at most half a level.
    limit = 5 * norm / levels / 2 / np.sqrt(400)
    assert np.abs(draws.mean(axis=0) - update["w"]).max() < limit
    # The exact variance of each coordinate: the fraction f of a level, f (1 - f) levels squared.
    fractions = np.abs(update["w"]) / norm * levels % 1
    variance = np.sum(fractions * (1 - fractions)) * (norm / levels) ** 2
    assert errors.mean() == pytest.approx(variance, rel=0.05)


def test_a_norm_that_is_not_finite_is_refused():
    layout = Layout.of({"w": np.zeros(2, np.float32)})
    scales = np.array([np.nan], "<f4").tobytes()
    payload = pack("fedpaq", layout, {Section.SCALES: scales, Section.VALUES: b"\x00\x00"})
    with pytest.raises(PayloadError, match="not finite"):
        make_policy("fedpaq", {}).decode(payload, layout)


def test_a_norm_beyond_float32_is_refused():
    with pytest.raises(ValueError, match=r"fedpaq cannot express 4\.\d+e\+38 in float32"):
        coded({"w": np.full(2, 3e38, np.float32)})
