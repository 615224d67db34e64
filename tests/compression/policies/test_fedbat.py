import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import Section, framed_length, unpack
from fsim.core.types import BinarisationSettings, Layout, TrainingRequest
from fsim.simulation.run import simulate

UPDATE = {
    "a": np.array([3, -1, 0, 0.5], np.float32),
    "b": np.array([[-8.0, 8.0], [0.0, 2.0]], np.float32),
}
SCALES = {"a": 1.0, "b": 4.0}


def context(seed=0, scales=None):
    return EncodingContext(np.random.default_rng(seed), scales=scales)


def decoded(policy, seed, scales=SCALES):
    payload = policy.encode(UPDATE, context(seed, scales))
    return policy.decode(payload, Layout.of(UPDATE)), payload


def test_learned_step_sizes_are_what_is_sent():
    update, payload = decoded(make_policy("fedbat", {}), 0)
    assert {abs(value) for value in update["a"].tolist()} == {1}
    assert {abs(value) for value in update["b"].ravel().tolist()} == {4}
    sections = unpack(payload, "fedbat", Layout.of(UPDATE))
    assert np.frombuffer(sections[Section.SCALES], "<f4").tolist() == [1, 4]
    assert len(payload) == framed_length([8, 1])


def test_the_mean_of_what_arrives_is_the_update_cut_to_the_step_size():
    policy, count = make_policy("fedbat", {}), 4000
    found = [decoded(policy, seed)[0] for seed in range(count)]
    for name, alpha in SCALES.items():
        mean = np.mean([each[name] for each in found], axis=0)
        expected = np.clip(UPDATE[name], -alpha, alpha)
        deviation = np.sqrt((alpha**2 - expected**2) / count)
        assert np.all(np.abs(mean - expected) <= 4.5 * deviation)


def test_to_nearest_there_is_no_chance():
    policy = make_policy("fedbat", {"rounding": "nearest"})
    update, payload = decoded(policy, 0)
    assert update["a"].tolist() == [1, -1, 1, 1]
    assert update["b"].tolist() == [[-4, 4], [4, 4]]
    assert payload == decoded(policy, 1)[1]


def test_without_training_step_sizes_are_mean_magnitudes():
    update, _ = decoded(make_policy("fedbat", {"smallest": 10, "largest": 10}), 0, None)
    assert np.abs(update["a"]).tolist() == [1.125] * 4
    assert np.abs(update["b"]).ravel().tolist() == [4.5] * 4


@pytest.mark.parametrize(
    "scales", [{"a": 1.0}, *({"a": 1.0, "b": step} for step in (0.0, np.nan, np.inf))]
)
def test_a_matrix_without_a_step_size_is_refused(scales):
    with pytest.raises(ValueError, match=r"fedbat: b: found a step size of .*, allowed is above 0"):
        make_policy("fedbat", {}).encode(UPDATE, context(0, scales))


def test_what_it_asks_of_training():
    assert make_policy("fedbat", {"warmup": 0.25, "largest": 1}).training_request() == (
        TrainingRequest(binarisation=BinarisationSettings(0.25, 6.0, 5e-4, 1.0))
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup": 1.5}, "warmup: found 1.5, allowed are 0 to 1"),
        ({"warmup": float("nan")}, "warmup: found nan"),
        ({"coefficient": -1}, "coefficient: found -1.0, allowed is 0 or more"),
        ({"smallest": 0}, "smallest: found 0.0, allowed is above 0"),
        ({"smallest": 0.1}, "largest: found 0.05, allowed is 0.1 or more"),
        ({"rounding": "up"}, "rounding: found 'up'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is checked below
        make_policy("fedbat", options)
    assert message in str(caught.value)


def test_a_run_sends_a_bit_a_coordinate(tiny):
    run = simulate(tiny(compression={"policy": "fedbat"}))
    # A and B for two layers of each of nano's four blocks.
    expected = framed_length([4 * 16, -(-run.facts["adapter_parameters"] // 8)])
    assert set(run.records[run.records["kind"] == "upload"]["bytes"]) == {expected}
    again = simulate(tiny(compression={"policy": "fedbat"}))
    assert run.evaluations["loss"].tolist() == again.evaluations["loss"].tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"compression": {"policy": "ffa", "inner": "fedbat"}},
        {"compression": {"policy": "fedbat"}, "transport": {"kind": "datagram", "loss": 0.1}},
        {"compression": {"policy": "fedbat"}, "training__proximal": 0.1},
    ],
    ids=["ffa", "datagram", "fedprox"],
)
def test_it_goes_with_the_rest(tiny, changes):
    run = simulate(tiny(**changes))
    assert np.isfinite(run.evaluations["loss"]).all()
    assert not (run.records["kind"] == "rejected").any()
