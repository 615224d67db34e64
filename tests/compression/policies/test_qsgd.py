import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import Section, framed_length, pack, unpack
from fsim.core.errors import PayloadError
from fsim.core.types import Layout

VALUES = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
LAYOUT = Layout.of({"w": VALUES})


def decode(bits, seed, bucket=512, values=VALUES):
    policy = make_policy("qsgd", {"bits": bits, "bucket": bucket})
    payload = policy.encode({"w": values}, EncodingContext(np.random.default_rng(seed)))
    return payload, policy.decode(payload, LAYOUT)["w"]


@pytest.mark.parametrize("bits", [2, 4, 8, 13])
def test_size_is_scales_and_packed_levels(bits):
    payload, _ = decode(bits, 0)
    assert len(payload) == framed_length([2 * 4, (1000 * bits + 7) // 8])


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


def coded(values, seed=0, **options):
    update = {"w": np.array(values, dtype=np.float32)}
    policy = make_policy("qsgd", options)
    payload = policy.encode(update, EncodingContext(np.random.default_rng(seed)))
    sections = unpack(payload, "qsgd", Layout.of(update))
    return sections, policy.decode(payload, Layout.of(update))["w"]


def test_elias_codes_worked_by_hand():
    # One level above 0, so levels are 0 1 0 0 1 1: distances 2, 3, 1. In omega code 1 is 0, 2 is
    # 100, 3 is 110; a sign follows each distance: 100 0 0, 110 1 0, 0 0 0.
    values = [0, 2, 0, 0, -2, 2]
    sections, decoded = coded(values, bits=2, coding="elias")
    assert sections[Section.VALUES].hex() == "03000000" + "8680"
    assert decoded.tolist() == values
    # Levels plus one, the sign behind: 0, 100 0, 0, 0, 100 1, 100 0.
    sections, decoded = coded(values, bits=2, coding="elias-dense")
    assert sections[Section.VALUES].hex() == "4130"
    assert decoded.tolist() == values


@pytest.mark.parametrize("scale", ["max", "norm"])
@pytest.mark.parametrize("bits", [2, 4, 11, 16])
def test_the_coding_does_not_change_what_arrives(bits, scale):
    values = np.random.default_rng(0).laplace(size=3000) * (np.arange(3000) < 2000)
    packed = coded(values, bits=bits, scale=scale)[1]
    for coding in ("elias", "elias-dense"):
        assert np.array_equal(coded(values, bits=bits, scale=scale, coding=coding)[1], packed)


def test_elias_lengths_are_those_of_the_levels_that_arrive():
    values = np.random.default_rng(0).laplace(size=5000)
    packed = coded(values, bits=4)[1]
    scales = np.repeat([np.abs(values[i : i + 512]).max() for i in range(0, 5000, 512)], 512)[:5000]
    levels = np.rint(np.abs(packed) / scales * 7).astype(int)
    dense = sum(len(omega_by_hand(k + 1)) + (k > 0) for k in levels)
    at = np.flatnonzero(levels)
    gaps = np.diff(at, prepend=-1)
    sparse = sum(len(omega_by_hand(g)) + 1 + len(omega_by_hand(k))
                 for g, k in zip(gaps, levels[at], strict=True))  # fmt: skip
    sections, _ = coded(values, bits=4, coding="elias-dense")
    assert len(sections[Section.VALUES]) == (dense + 7) // 8
    sections, _ = coded(values, bits=4, coding="elias")
    assert len(sections[Section.VALUES]) == 4 + (sparse + 7) // 8


def omega_by_hand(number):
    code = "0"
    while number > 1:
        code = f"{number:b}" + code
        number = len(f"{number:b}") - 1
    return code


@pytest.mark.parametrize("bits", [2, 4])
def test_norm_scaling_keeps_the_papers_bounds(bits):
    # Lemma 3.1: unbiased, E||Q - v||^2 <= min(n / s^2, sqrt(n) / s) ||v||^2, and at most
    # s (s + sqrt(n)) levels are not 0 in expectation.
    n, s = 400, 2 ** (bits - 1) - 1
    values = np.random.default_rng(10**6).laplace(size=n).astype(np.float32)
    draws = np.array([coded(values, seed, bits=bits, scale="norm")[1] for seed in range(400)])
    norm = np.linalg.norm(values)
    errors = np.sum((draws - values) ** 2, axis=1)
    assert errors.mean() < min(n / s**2, np.sqrt(n) / s) * norm**2
    assert np.count_nonzero(draws, axis=1).mean() < s * (s + np.sqrt(n))
    # A level is worth norm / s; rounding has a standard deviation of at most half of that.
    assert np.abs(draws.mean(axis=0) - values).max() < 5 * norm / s / 2 / np.sqrt(400)


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("elias", ""), ("elias", "000000"),
        ("elias", "07000000" + "00" * 3),  # more levels than coordinates
        ("elias", "01000000" + "ff" * 5),  # a codeword that does not end
        ("elias", "01000000" + "a00000"),  # bytes behind the last codeword
        ("elias", "01000000" + "b000"),  # a distance of 6 or more, beyond the end
        ("elias", "01000000" + "28"),  # a level of 2, one is allowed
        ("elias", "00000000" + "00" * 99), ("elias-dense", ""), ("elias-dense", "00" * 99),
        ("elias-dense", "ffff"), ("elias-dense", "c0"),  # a level of 2
    ],
)  # fmt: skip
def test_hostile_elias_codes_are_refused(coding, data):
    layout = Layout.of({"w": np.zeros(5, np.float32)})
    sections = {Section.SCALES: np.ones(1, "<f4").tobytes(), Section.VALUES: bytes.fromhex(data)}
    with pytest.raises(PayloadError):
        make_policy("qsgd", {"bits": 2, "coding": coding}).decode(
            pack("qsgd", layout, sections), layout
        )
