import math
from itertools import pairwise

import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import Section, framed_length, pack, unpack
from fsim.compression.policies.eden import CENTROIDS, hadamard
from fsim.core.errors import PayloadError
from fsim.core.types import Layout


def coded(values, seed=0, **options):
    update = {"w": np.array(values, np.float32)}
    policy = make_policy("eden", options)
    payload = policy.encode(update, EncodingContext(np.random.default_rng(0), seed=seed))
    return payload, policy.decode(payload, Layout.of(update))["w"]


def density(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def above(x):
    return math.erfc(x / math.sqrt(2)) / 2


def cells(bits):
    """Probability and mean of each positive cell whose bounds lie half way between centroids."""
    points = CENTROIDS[bits]
    bounds = [0.0, *((a + b) / 2 for a, b in pairwise(points)), math.inf]
    for low, high in pairwise(bounds):
        share = above(low) - above(high)
        yield share, (density(low) - density(high)) / share


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_centroids_are_the_means_of_their_cells(bits):
    assert len(CENTROIDS[bits]) == 2 ** (bits - 1)
    assert [mean for _, mean in cells(bits)] == pytest.approx(CENTROIDS[bits], abs=2e-9)


def test_centroids_are_those_of_max():
    # Max 1960, table I, for 2, 4, 8 and 16 levels, to the digits that it has.
    assert pytest.approx([0.7980], abs=5e-4) == list(CENTROIDS[1])
    assert pytest.approx([0.4528, 1.510], abs=5e-4) == list(CENTROIDS[2])
    assert pytest.approx([0.2451, 0.7560, 1.344, 2.152], abs=5e-4) == list(CENTROIDS[3])
    expected = [0.1284, 0.3881, 0.6568, 0.9424, 1.256, 1.618, 2.069, 2.733]
    assert pytest.approx(expected, abs=5e-4) == list(CENTROIDS[4])


@pytest.mark.parametrize("length", [1, 2, 8, 64])
def test_the_transform_is_sylvesters_matrix(length):
    matrix = np.ones((1, 1))
    while len(matrix) < length:
        matrix = np.kron([[1, 1], [1, -1]], matrix)
    rows = np.random.default_rng(0).standard_normal((3, length))
    assert hadamard(rows) == pytest.approx(rows @ matrix / np.sqrt(length), abs=1e-12)
    assert hadamard(hadamard(rows)) == pytest.approx(rows, abs=1e-12)


def test_one_coordinate_arrives_whole_by_its_signs():
    # Rotated, all coordinates have the same magnitude: one bit each and the scale say it all.
    values = np.zeros(64)
    values[11] = -3
    assert coded(values)[1] == pytest.approx(values, abs=1e-6)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_the_estimate_projects_onto_the_update_itself(bits):
    # <estimate, x> = S <R^-1 Q(R x), x> = S <Q(R x), R x> = ||x||^2 whatever the rotation.
    values = np.random.default_rng(0).laplace(size=1024)
    for seed in range(5):
        decoded = coded(values, seed, bits=bits, block=1024)[1]
        assert decoded @ values == pytest.approx(values @ values, rel=1e-5)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_the_error_is_that_of_the_theory(bits):
    # Lloyd-Max leaves D = 1 - sum of P c^2; the unbiased scale makes that D / (1 - D) of ||x||^2:
    # 0.571, 0.133, 0.036, 0.0096.
    left = 1 - 2 * sum(share * mean**2 for share, mean in cells(bits))
    values = np.random.default_rng(0).laplace(size=16 * 4096)
    error = np.sum((coded(values, bits=bits)[1] - values) ** 2) / np.sum(values**2)
    assert error == pytest.approx(left / (1 - left), rel=0.02)


@pytest.mark.parametrize(("bits", "variance"), [(1, 0.571), (2, 0.133), (0.25, 3 + 4 * 0.571)])
def test_unbiased_over_rotations(bits, variance):
    # The mean of n estimates has the n-th part of the variance, and nothing else: a bias of more
    # than a fifth of that error would show. A share p at 1 bit has (1 - p) / p + 0.571 / p.
    values = np.random.default_rng(0).laplace(size=2048).astype(np.float32)
    count = 400
    mean = np.mean([coded(values, seed, bits=bits)[1] for seed in range(count)], axis=0)
    error = np.sum((mean - values) ** 2) / np.sum(values**2)
    assert error == pytest.approx(variance / count, rel=0.15)
    deviation = np.sqrt(variance / count * np.mean(values**2)) * np.sqrt(1 + values**2)
    assert np.abs((mean - values) / deviation).max() < 6


def test_below_one_bit_a_share_is_sent():
    values = np.random.default_rng(0).laplace(size=10_000)
    payload, decoded = coded(values, bits=0.25)
    # A sum of signs is exactly 0 now and then, so not quite every one of the 2500 shows.
    assert 2400 < np.count_nonzero(decoded) <= 2500
    # 2500 coordinates in blocks of 4096: one block of 4096 bits, one scale, the seed.
    assert len(payload) == framed_length([8, 4, 512])


@pytest.mark.parametrize("size", [200, 255, 256, 257, 300, 500, 511, 513, 768])
def test_whole_blocks_and_a_last_one_of_any_length(size):
    # A last block that is filled up to a whole one is still cut like the others.
    values = np.random.default_rng(0).laplace(size=size)
    decoded = coded(values, bits=4, block=256)[1]
    assert np.sum((decoded - values) ** 2) < 0.03 * np.sum(values**2)


def test_sizes_seed_and_blocks():
    values = np.random.default_rng(0).laplace(size=2 * 256 + 20)
    payload, _ = coded(values, seed=0x1234, bits=2, block=256)
    sections = unpack(payload, "eden", Layout.of({"w": values}))
    assert sections[Section.POSITIONS] == bytes([0x34, 0x12, 0, 0, 0, 0, 0, 0])
    # The last 20 coordinates take a block of 32.
    assert len(sections[Section.SCALES]) == 3 * 4
    assert len(sections[Section.VALUES]) == 2 * (512 + 32) // 8


@pytest.mark.parametrize(("rest", "padded"), [(1, 1), (2, 2), (3, 4), (31, 32), (32, 32), (33, 64)])
def test_the_last_block_is_filled_up_to_the_next_power_of_two(rest, padded):
    payload, _ = coded(np.ones(256 + rest), bits=4, block=256)
    assert len(payload) == framed_length([8, 2 * 4, -(-(256 + padded) * 4 // 8)])


def test_exactly_the_share_is_sampled_and_every_coordinate_as_often():
    # One of four: a block of one coordinate, which its scale tells whole, times 4.
    drawn = np.zeros(4, int)
    for seed in range(400):
        decoded = coded([1, -2, 3, -4], seed, bits=0.25)[1]
        (at,) = np.flatnonzero(decoded)
        assert decoded[at] == pytest.approx([4, -8, 12, -16][at])
        drawn[at] += 1
    # 100 each, with a standard deviation of 8.7.
    assert np.abs(drawn - 100).max() < 5 * 8.7
    # Nine of a hundred in blocks of two: five scales and nine bits.
    for seed in range(20):
        payload, _ = coded(np.ones(100), seed, bits=0.09, block=2)
        assert len(payload) == framed_length([8, 5 * 4, 2])


def test_another_seed_is_another_rotation():
    values = np.random.default_rng(0).laplace(size=300)
    assert not np.array_equal(coded(values, 1)[1], coded(values, 2)[1])
    coded(values, 2**64 - 1)
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match=f"seed: found {seed}, allowed are integers of 64"):
            coded(values, seed)


@pytest.mark.parametrize(
    ("seed", "scale", "values"),
    [(7, 1.0, 4), (8, 1.0, 3), (8, np.nan, 4), (8, 3e38, 4), (0, 1.0, 4)],
)
def test_hostile_payloads_are_refused(seed, scale, values):
    layout = Layout.of({"w": np.zeros(32, np.float32)})
    sections = {
        Section.POSITIONS: bytes(seed),
        Section.SCALES: np.array([scale], "<f4").tobytes(),
        Section.VALUES: b"\xff" * values,
    }
    with pytest.raises(PayloadError):
        make_policy("eden", {}).decode(pack("eden", layout, sections), layout)
