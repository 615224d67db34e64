import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import Section, framed_length, pack, unpack
from fsim.compression.policies.stc import golomb_width
from fsim.core.errors import PayloadError
from fsim.core.types import Layout


def coded(values, **options):
    update = {"w": np.array(values, np.float32)}
    context = EncodingContext(np.random.default_rng(0))
    policy = make_policy("stc", options)
    payload = policy.encode(update, context)
    return payload, policy.decode(payload, Layout.of(update))["w"], context.memory


def test_sparse_ternary_values_worked_by_hand():
    # A quarter of 8: -4 and 2, their mean magnitude 3, at gaps of 1 and 3 coordinates.
    payload, decoded, memory = coded([0, -4, 1, 0, 0.5, 2, 0, -1], ratio=0.25)
    assert decoded.tolist() == [0, -3, 0, 0, 0, 3, 0, 0]
    assert memory["residual"].tolist() == [0, -1, 1, 0, 0.5, -1, 0, -1]
    # b* = 1 + floor(log2(ln(0.618) / ln(0.75))) = 1 + floor(log2(1.673)) = 1: 1 is 0 1, 3 is 10 1.
    sections = unpack(payload, "stc", Layout.of({"w": decoded}))
    assert sections[Section.POSITIONS] == bytes([0b01101000])
    assert sections[Section.VALUES] == bytes([0b10000000])
    assert sections[Section.SCALES] == np.array([3], "<f4").tobytes()
    assert len(payload) == framed_length([1, 4, 1])


@pytest.mark.parametrize("share", [0.9, 0.5, 0.3, 0.1, 0.04, 0.01, 0.0025, 1e-4])
def test_the_width_is_the_best_for_gaps_of_that_share(share):
    # Expected bits of a gap with b bits for the rest: b + 1 / (1 - (1 - p)^(2^b)).
    expected = [b + 1 / (1 - (1 - share) ** 2.0**b) for b in range(20)]
    assert golomb_width(share) == int(np.argmin(expected))
    assert golomb_width(1.0) == 0


def test_positions_take_the_expected_bits():
    # At p = 0.01, b* = 6 and 6 + 1 / (1 - 0.99^64) = 8.11 bits a position.
    size = 200_000
    payload, decoded, _ = coded(np.random.default_rng(0).laplace(size=size), ratio=0.01)
    sections = unpack(payload, "stc", Layout.of({"w": decoded}))
    count = np.count_nonzero(decoded)
    assert count == 2000
    # The gaps' geometric tail: one bit or so of deviation a gap.
    assert 8 * len(sections[Section.POSITIONS]) / count == pytest.approx(8.108, abs=0.1)
    assert set(np.unique(np.abs(decoded))) == {0, np.abs(decoded).max()}


def test_everything_may_be_sent():
    _, decoded, _ = coded([1, -2, 3], ratio=1)
    assert decoded.tolist() == [2, -2, 2]


@pytest.mark.parametrize(
    ("positions", "mean", "message"),
    [
        (b"", 1, "end before the last of 2"),
        (b"\xff", 1, "end before the last of 2"),
        (b"\x00\x00", 1, "2 bytes of gaps for 2 positions"),
        (b"\x68", np.nan, "not finite"),
        # 1110 1 is a gap of 8 coordinates, 0 0 one of 1: the ninth of eight coordinates.
        (bytes([0b11101000]), 1, "beyond 7"),
    ],
)
def test_hostile_payloads_are_refused(positions, mean, message):
    layout = Layout.of({"w": np.zeros(8, np.float32)})
    sections = {
        Section.POSITIONS: positions,
        Section.SCALES: np.array([mean], "<f4").tobytes(),
        Section.VALUES: b"\x80",
    }
    with pytest.raises(PayloadError, match=message):
        make_policy("stc", {"ratio": 0.25}).decode(pack("stc", layout, sections), layout)
