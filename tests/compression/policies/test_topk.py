import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.positions import decode_positions, encode_positions
from fsim.compression.coding.vectors import largest
from fsim.core.errors import PayloadError
from fsim.core.types import Layout

RNG = np.random.default_rng(0)


def test_only_the_largest_arrive():
    update = {"w": np.array([[0.5, -3, 1], [0.25, 2, -0.125]], dtype=np.float32)}
    policy = make_policy("topk", {"ratio": 0.5})
    decoded = policy.decode(policy.encode(update, EncodingContext(RNG)), Layout.of(update))
    assert decoded["w"].tolist() == [[0, -3, 1], [0, 2, 0]]


def test_ties_go_to_the_first():
    update = {"w": np.ones(8, dtype=np.float32)}
    policy = make_policy("topk", {"ratio": 0.25})
    decoded = policy.decode(policy.encode(update, EncodingContext(RNG)), Layout.of(update))
    assert decoded["w"].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("share", [0, 0.001, 0.05, 0.06, 0.5, 1])
@pytest.mark.parametrize("size", [1, 7, 8, 1000, 4097])
def test_positions_survive_and_take_the_smaller_form(share, size):
    chosen = np.random.default_rng(0).random(size) < share
    data = encode_positions(chosen)
    assert np.array_equal(decode_positions(data, size), chosen)
    width = max(1, (size - 1).bit_length())
    bitmap, indices = (size + 7) // 8, 4 + (int(chosen.sum()) * width + 7) // 8
    assert len(data) == 1 + min(bitmap, indices)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x02", b"\x01\x01", b"\x00\x00", b"\x01\xff\xff\xff\xff",
     b"\x01\x02\x00\x00\x00\x33", b"\x01\x01\x00\x00\x00\xf0"],
)  # fmt: skip
def test_hostile_positions_are_refused(data):
    with pytest.raises(PayloadError):
        decode_positions(data, 10)


def test_feedback_worked_by_hand():
    update = {"w": np.array([4, 3, 0, 0], dtype=np.float32)}
    policy = make_policy("topk", {"ratio": 0.25, "error_feedback": True})
    context = EncodingContext(RNG)
    rounds = []
    for _ in range(3):
        decoded = policy.decode(policy.encode(update, context), Layout.of(update))
        rounds.append(decoded["w"].tolist())
    # Left after each round: 0 3, then 4 0 of 4 6, then 0 3 of 8 3.
    assert rounds == [[4, 0, 0, 0], [0, 6, 0, 0], [8, 0, 0, 0]]
    assert context.memory["residual"].tolist() == [0, 3, 0, 0]


def test_without_feedback_nothing_is_remembered():
    context = EncodingContext(RNG)
    make_policy("topk", {}).encode({"w": np.arange(5, dtype=np.float32)}, context)
    assert context.memory == {}


def test_a_residual_of_another_adapter_is_refused():
    context = EncodingContext(RNG)
    policy = make_policy("topk", {"error_feedback": True})
    policy.encode({"w": np.ones(5, np.float32)}, context)
    with pytest.raises(ValueError, match="residual has 5 coordinates, the update 6"):
        policy.encode({"w": np.ones(6, np.float32)}, context)


@pytest.mark.parametrize("seed", range(20))
def test_the_choice_is_that_of_a_stable_sort(seed):
    rng = np.random.default_rng(seed)
    vector = np.round(rng.laplace(size=500), 1).astype(np.float32)
    count = int(rng.integers(1, 501))
    expected = np.zeros(500, dtype=bool)
    expected[np.argsort(-np.abs(vector), kind="stable")[:count]] = True
    assert np.array_equal(largest(vector, count), expected)
