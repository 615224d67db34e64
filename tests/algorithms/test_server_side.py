import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.algorithms.corrections import (
    fednova,
    fednova_norm,
    scaffold_control,
    scaffold_control_delta,
)
from fsim.server.aggregation import fedavg


def update(*values):
    return {"w": np.array(values, "f4")}


def test_scaffold_worked_by_hand():
    # Two steps of 0.5 moved the client by -3: its mean gradient was 3, so c_i+ = c_i - c + 3.
    change = scaffold_control_delta(update(1.0), update(-3.0), 2, 0.5)
    assert change["w"].tolist() == [2.0]
    # Four clients in all, two heard: 1 + (2 + 4) / 4.
    assert scaffold_control(update(1.0), [change, update(4.0)], 4)["w"].tolist() == [2.5]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(-5, 5), st.floats(-5, 5))
def test_without_drift_the_control_becomes_the_clients_mean_gradient(gradients, own, server):
    # SCAFFOLD's step is y <- y - eta (g - c_i + c); what is left of it is the mean of g.
    position = 0.0
    for gradient in gradients:
        position -= 0.1 * (gradient - own + server)
    change = scaffold_control_delta(update(server), update(position), len(gradients), 0.1)
    assert own + change["w"].item() == pytest.approx(np.mean(gradients), abs=1e-4)


def test_scaffold_refuses():
    with pytest.raises(ValueError, match="steps: found 0"):
        scaffold_control_delta(update(1.0), update(1.0), 0, 0.1)
    with pytest.raises(ValueError, match="learning_rate: found 0"):
        scaffold_control_delta(update(1.0), update(1.0), 1, 0.0)
    with pytest.raises(ValueError, match="same tensors"):
        scaffold_control_delta(update(1.0), update(1.0, 2.0), 1, 0.1)
    with pytest.raises(ValueError, match="clients: found 1, allowed is 2 or more"):
        scaffold_control(update(1.0), [update(1.0)] * 2, 1)


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
