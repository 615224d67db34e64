"""FedNova: its arithmetic, and whole runs on losses whose optimum is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.algorithms.fednova import fednova, fednova_norm
from fsim.server.aggregation import fedavg
from tests.algorithms.federations import CURVATURES, RATE, TARGETS, flat, learner, refusal, settings
from tests.simulation.quadratic import QuadraticLearner, run


def update(*values):
    return {"w": np.array(values, "f4")}


def test_fednova_worked_by_hand():
    # 1 step to 1 and 3 steps to 3: one gradient a step each, tau_eff = 2.
    assert fednova([update(1.0), update(3.0)], [1, 1], [1, 3])["w"].tolist() == [2.0]
    # 1 step to 1 and 4 steps to 2, weights 30 and 10: tau_eff 1.75 times (0.75 * 1 + 0.25 * 0.5).
    mean = fednova([update(1.0), update(2.0)], [30, 10], [1, 4])
    assert mean["w"].tolist() == [1.53125]
    assert fednova([update(1.0), update(2.0)], [30, 10], [1, 4], 1.0)["w"].tolist() == [0.875]


@given(st.integers(1, 50), st.lists(st.integers(1, 99), min_size=3, max_size=3))
def test_fednova_of_equal_steps_is_fedavg(steps, weights):
    updates = [update(*row) for row in np.random.default_rng(steps).standard_normal((3, 5))]
    nova = fednova(updates, weights, [steps] * 3)
    assert np.array_equal(nova["w"], fedavg(updates, weights)["w"])


def test_fednova_of_stale_and_missing_updates():
    # 2 steps to 2 and 4 steps to 4, the second stale by 0.5, one more client of weight 2 missing:
    # tau_eff 3 times (1/4 x 2 / 2 + 1/4 x 0.5 x 4 / 4).
    updates = [update(2.0), update(4.0)]
    assert fednova(updates, [1, 1], [2, 4], scales=[1, 0.5], denominator=4.0)["w"] == [1.125]


@given(st.integers(1, 40), st.floats(0, 0.99))
def test_fednova_norm_against_running_momentum(steps, momentum):
    # With every gradient 1 and a learning rate of 1, the distance is the norm.
    velocity = distance = 0.0
    for _ in range(steps):
        velocity = momentum * velocity + 1
        distance += velocity
    assert fednova_norm(steps, momentum) == pytest.approx(distance, rel=1e-9)
    assert fednova_norm(steps) == steps


def test_fednova_refuses():
    with pytest.raises(ValueError, match="norms: allowed"):
        fednova([update(1.0)], [1], [0])
    with pytest.raises(ValueError, match="weights: allowed"):
        fednova([update(1.0)], [0], [1])
    with pytest.raises(ValueError, match="1 updates with 1 weights and 2 norms"):
        fednova([update(1.0)], [1], [1, 2])
    with pytest.raises(ValueError, match="effective_steps: found 0"):
        fednova([update(1.0)], [1], [1], 0)
    with pytest.raises(ValueError, match="momentum: found 1"):
        fednova_norm(3, 1)


def test_fednova_of_as_many_steps_is_fedavg_to_the_bit(tiny):
    plain, nova = (
        run(tiny(**settings({"correction": kind})), learner(examples=[8, 50, 9, 31, 77, 20]))
        for kind in ("none", "fednova")
    )
    assert np.array_equal(flat(nova), flat(plain))


def test_fednova_makes_up_for_clients_that_do_more_steps(tiny):
    """With one pass over 8, 16 and 48 examples in batches of 8, clients make 1, 2 and 6 steps."""
    examples = [8, 16, 48, 8, 16, 48]
    training = {"optimizer": "sgd", "learning_rate": 0.01, "local_epochs": 1, "batch_size": 8}
    common = settings(rounds=400) | {"training": training}
    found = {}
    for correction in ("none", "fednova"):
        server = {"correction": correction, "aggregation": {"kind": "fedavg", "weights": "equal"}}
        fleet = QuadraticLearner([1.0] * 6, TARGETS, 0.01, examples=examples)
        world = run(tiny(**common | {"server": server}), fleet)
        assert {len(job.batches) for job in fleet.jobs.values()} == {1, 2, 6}
        found[correction] = np.linalg.norm(flat(world) - TARGETS.mean(0))
    assert found["fednova"] < 0.1 * found["none"]


@pytest.mark.parametrize(
    ("protocol", "entered", "share"),
    [
        ({"kind": "deadline", "over_selection": 1.0}, 6, 1.0),
        ({"kind": "buffered", "buffer": 3}, 3, 1.0),
        # Of two tiers that count as having had a round, the first has had one more.
        ({"kind": "tiered", "tiers": 2, "clients_per_round": 3}, 3, 1 / 3),
    ],
    ids=["deadline", "buffered", "tiered"],
)
def test_fednova_goes_with_every_protocol_that_averages(tiny, protocol, entered, share):
    """Its formula, of the updates that the first step of the global adapter was made of."""
    training = {"optimizer": "sgd", "learning_rate": RATE, "local_epochs": 2, "batch_size": 8}
    examples = [8, 16, 48, 8, 16, 48]
    # In the order of their links; one client's steps take longer than another's.
    fleet = {"fleet__uplink": {"rate": "lognormal(8 kbit/s, 1.0)"}, "transport": {"kind": "fluid"},
             "fleet__seconds_per_step": {"laptop": "10 ms"}}  # fmt: skip
    common = {**settings(protocol=protocol, rounds=1), "training": training, **fleet}
    worlds = {
        kind: run(tiny(**common | {"server": {"correction": kind}}), learner(examples=examples))
        for kind in ("none", "fednova")
    }
    assert worlds["none"].accounts == worlds["fednova"].accounts
    assert worlds["fednova"].accounts.aggregated == entered
    records = worlds["fednova"].recorder.records()
    those = records[records["kind"] == "receive"]["client"].to_numpy()[:entered]
    # Two passes in batches of 8: 2, 4 and 12 steps, each of which leaves 1 - 0.1 h of the way.
    held = np.array(examples)[those]
    steps = held // 4
    left = (1 - RATE * np.array(CURVATURES)[those]) ** steps
    deltas = (1 - left)[:, None] * TARGETS[those]
    weights = held / held.sum()
    moves = {
        "none": weights @ deltas,
        "fednova": (weights @ steps) * ((weights / steps) @ deltas),
    }
    for kind, world in worlds.items():
        np.testing.assert_allclose(flat(world), share * moves[kind], atol=1e-6)
    assert len(set(steps)) > 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"server__aggregation": "trimmed-mean"},
         "server.aggregation: trimmed-mean, allowed is fedavg"),
        ({"training__proximal": 0.1}, "training.proximal: 0.1, allowed is 0"),
        ({"protocol__kind": "asynchronous"}, "protocol.kind: asynchronous with a buffer of 1"),
        ({"protocol__kind": "buffered", "protocol__buffer": 1}, "protocol.kind: buffered with a"),
    ],
)  # fmt: skip
def test_what_fednova_does_not_go_with(changes, message):
    found = refusal(**changes, server__correction="fednova")
    assert found.startswith(f"server.correction: found fednova and {message}")
