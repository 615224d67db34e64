import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import Section, framed_length, pack, unpack
from fsim.compression.policies.terngrad import pack_trits, unpack_trits
from fsim.core.errors import PayloadError
from fsim.core.types import Layout


def coded(update, seed=0, **options):
    policy = make_policy("terngrad", options)
    payload = policy.encode(update, EncodingContext(np.random.default_rng(seed)))
    return payload, policy.decode(payload, Layout.of(update))


def test_five_digits_a_byte_worked_by_hand():
    # 1 2 0 0 1 -> 81 + 54 + 1; 2 -> 2 * 81
    assert pack_trits(np.array([1, 2, 0, 0, 1, 2])) == bytes([136, 162])
    assert unpack_trits(bytes([136, 162]), 6).tolist() == [1, 2, 0, 0, 1, 2]
    every = np.array([[a, b, c, d, e] for a in range(3) for b in range(3) for c in range(3)
                      for d in range(3) for e in range(3)]).ravel()  # fmt: skip
    assert pack_trits(every) == bytes(range(243))
    assert unpack_trits(bytes(range(243)), 1215).tolist() == every.tolist()


@pytest.mark.parametrize(("data", "count"), [(b"\xf3", 5), (b"\x00", 6), (b"\x00\x00", 5)])
def test_hostile_digits_are_refused(data, count):
    with pytest.raises(PayloadError):
        unpack_trits(data, count)


def test_values_at_the_scale_or_at_zero_are_certain():
    update = {"w": np.array([2, -2, 0, 0, 2, -2], np.float32), "v": np.full((2, 2), -3, np.float32)}
    payload, decoded = coded(update, clip=0)
    assert decoded["w"].tolist() == [2, -2, 0, 0, 2, -2]
    assert decoded["v"].tolist() == [[-3, -3], [-3, -3]]
    sections = unpack(payload, "terngrad", Layout.of(update))
    # Sorted by name: -1 -1 -1 -1 +1, then -1 0 0 +1 -1.
    assert sections[Section.VALUES] == bytes([2 * (81 + 27 + 9 + 3) + 1, 2 * 81 + 3 + 2])
    assert sections[Section.SCALES] == np.array([3, 2], "<f4").tobytes()
    assert len(payload) == framed_length([8, 2])


def test_unbiased_without_clipping_with_the_variance_of_a_coin():
    # A coordinate is s with probability |g| / s: expectation g, variance |g| (s - |g|).
    update = {"w": np.random.default_rng(10**6).laplace(size=500).astype(np.float32)}
    draws = np.array([coded(update, seed, clip=0)[1]["w"] for seed in range(600)])
    values = update["w"]
    scale = np.abs(values).max()
    variance = np.abs(values) * (scale - np.abs(values))
    # Bernstein's inequality: each misses these with a probability below 1e-5.
    bound = 5 * np.sqrt(variance / 600) + 25 * scale / (3 * 600)
    assert np.all(np.abs(draws.mean(axis=0) - values) <= bound)
    assert draws.var(axis=0).sum() == pytest.approx(variance.sum(), rel=0.05)
    assert set(np.unique(np.abs(draws))) == {0, scale}


def test_clipping_cuts_at_deviations_of_the_matrix():
    # Mean 2, squares' mean 400/10: deviation 6; 20 is cut to 1.5 * 6.
    values = np.zeros(10, np.float32)
    values[3] = 20
    _, decoded = coded({"w": values}, clip=1.5)
    assert decoded["w"][3] == pytest.approx(9)
    assert not np.any(np.delete(decoded["w"], 3))
    values = np.full(4, 0.1, np.float32)
    assert coded({"w": values})[1]["w"] == pytest.approx(0.1)


def test_a_scale_that_is_not_finite_is_refused():
    layout = Layout.of({"w": np.zeros(5, np.float32)})
    scales = np.array([np.inf], "<f4").tobytes()
    payload = pack("terngrad", layout, {Section.SCALES: scales, Section.VALUES: b"\x01"})
    with pytest.raises(PayloadError, match="not finite"):
        make_policy("terngrad", {}).decode(payload, layout)
