import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import Section, framed_length, unpack
from fsim.core.types import Layout


def test_mean_magnitude_and_signs_worked_by_hand():
    update = {"a": np.array([3, -1, 0, 2], np.float32), "b": np.array([[-8.0]], np.float32)}
    policy = make_policy("signsgd", {})
    payload = policy.encode(update, EncodingContext(np.random.default_rng(0)))
    decoded = policy.decode(payload, Layout.of(update))
    assert decoded["a"].tolist() == [1.5, -1.5, 1.5, 1.5]
    assert decoded["b"].tolist() == [[-8]]
    sections = unpack(payload, "signsgd", Layout.of(update))
    assert sections[Section.VALUES] == bytes([0b01001000])
    assert len(payload) == framed_length([8, 1])


def test_the_residual_worked_by_hand():
    policy = make_policy("signsgd", {})
    context = EncodingContext(np.random.default_rng(0))
    update = {"a": np.array([3, -1, 0, 2], np.float32)}
    policy.encode(update, context)
    assert context.memory["residual"].tolist() == [1.5, 0.5, -1.5, 0.5]
    # 4.5, -0.5, -1.5, 2.5: the mean magnitude is 2.25.
    decoded = policy.decode(policy.encode(update, context), Layout.of(update))
    assert decoded["a"].tolist() == [2.25, -2.25, -2.25, 2.25]
    assert context.memory["residual"].tolist() == [2.25, 1.75, 0.75, 0.25]


def test_without_feedback_every_round_is_the_first():
    policy = make_policy("signsgd", {"error_feedback": False})
    context = EncodingContext(np.random.default_rng(0))
    update = {"a": np.array([3, -1, 0, 2], np.float32)}
    assert policy.encode(update, context) == policy.encode(update, context)
    assert context.memory == {}


@pytest.mark.parametrize("rounds", [200])
def test_with_feedback_the_mean_of_what_arrives_becomes_the_update(rounds):
    # What arrived in all is what was sent in all less the last residual, which stays bounded.
    update = {"w": np.random.default_rng(0).laplace(size=300).astype(np.float32)}
    policy = make_policy("signsgd", {})
    context = EncodingContext(np.random.default_rng(0))
    total = np.zeros(300)
    for _ in range(rounds):
        total += policy.decode(policy.encode(update, context), Layout.of(update))["w"]
    left = context.memory["residual"]
    assert total + left == pytest.approx(rounds * update["w"], abs=1e-3)
    assert np.linalg.norm(total / rounds - update["w"]) < 0.2 * np.linalg.norm(update["w"])
