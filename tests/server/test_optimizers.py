import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fsim.core.registry import choose
from fsim.server.optimizers import (
    OPTIMIZERS,
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedYogi,
)

DELTAS = [np.random.default_rng(seed).standard_normal(7).astype("f4") for seed in range(12)]


def steps(optimizer, *deltas):
    return [optimizer.step({"w": np.array([d], "f4")})["w"].item() for d in deltas]


def travelled(optimizer):
    position = np.zeros(7)
    for delta in DELTAS:
        position += optimizer.step({"w": delta})["w"]
    return position


def torch_travelled(make, rate=None):
    parameter = torch.nn.Parameter(torch.zeros(7, dtype=torch.float64))
    optimizer = make([parameter])
    for number, delta in enumerate(DELTAS, start=1):
        if rate is not None:
            optimizer.param_groups[0].update(rate(number))
        parameter.grad = -torch.from_numpy(delta).double()
        optimizer.step()
    return parameter.detach().numpy()


def test_two_steps_worked_by_hand():
    assert steps(FedAvg(0.5), 2, 4) == [1, 2]
    # m: 2, then 0.5 * 2 + 4 = 5.
    assert steps(FedAvgM(1, 0.5), 2, 4) == [2, 5]
    # 2 + 0.5 * 2, then 4 + 0.5 * 5.
    assert steps(FedAvgM(1, 0.5, nesterov=True), 2, 4) == [3, 6.5]
    # v: 0 + 9 = 9, then 9 + 16 = 25; 3 / (3 + 1), 4 / (5 + 1).
    assert steps(FedAdagrad(1, tau=1, initial=0), 3, 4) == pytest.approx([0.75, 4 / 6])
    # m: 2, 4.5; v: 0.75 * 0 + 0.25 * 16 = 4, then 0.75 * 4 + 0.25 * 52 = 16.
    adam = FedAdam(1, beta1=0.5, tau=1, initial=0, beta2=0.75)
    assert steps(adam, 4, 52**0.5) == pytest.approx([2 / 3, (1 + 52**0.5 / 2) / 5])
    # v: 0 + 0.25 * 16 = 4, then, since 4 > 1, 4 - 0.25 * 1 = 3.75; m: 2, then 1.5.
    yogi = FedYogi(1, beta1=0.5, tau=1, initial=0, beta2=0.75)
    assert steps(yogi, 4, 1) == pytest.approx([2 / 3, 1.5 / (1 + 3.75**0.5)])


def test_the_variance_starts_at_the_square_of_tau():
    # v = 0.25 + 0.75^2 * ... : with beta2 0 it forgets its start, with Adagrad it keeps it.
    assert steps(FedAdagrad(1, tau=0.5), 0.0) == [0.0]
    # v = 0.5^2 + 1.2^2 = 1.3^2: 1.2 / (1.3 + 0.5).
    assert steps(FedAdagrad(1, tau=0.5), 1.2) == pytest.approx([1.2 / 1.8])


@pytest.mark.parametrize("nesterov", [False, True])
def test_fedavgm_is_torch_sgd(nesterov):
    ours = travelled(FedAvgM(0.3, 0.9, nesterov))
    theirs = torch_travelled(lambda p: torch.optim.SGD(p, 0.3, momentum=0.9, nesterov=nesterov))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_fedadagrad_is_torch_adagrad():
    ours = travelled(FedAdagrad(0.3, tau=0.01))
    theirs = torch_travelled(
        lambda p: torch.optim.Adagrad(p, 0.3, eps=0.01, initial_accumulator_value=0.01**2)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_fedadam_is_torch_adam_without_its_bias_correction():
    # Torch divides by the corrections; a rate and an epsilon that undo them leave plain averages.
    def undo(number):
        second = (1 - 0.99**number) ** 0.5
        return {"lr": 0.3 * (1 - 0.9**number) / second, "eps": 0.01 / second}

    ours = travelled(FedAdam(0.3, tau=0.01, initial=0))
    theirs = torch_travelled(lambda p: torch.optim.Adam(p, betas=(0.9, 0.99)), undo)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


anything = hnp.arrays(np.float32, 4, elements=st.floats(width=32, allow_nan=False))


@given(st.lists(anything, min_size=1, max_size=4))
def test_momentum_0_and_rate_1_pass_the_mean_through_to_the_bit(deltas):
    for optimizer in (FedAvg(), FedAvgM(1.0, 0.0)):
        for delta in deltas:
            assert optimizer.step({"w": delta})["w"].tobytes() == delta.tobytes()
        assert optimizer.state_dict() == {}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restored_optimizer_goes_on_to_the_bit(name):
    whole, first, second = (OPTIMIZERS[name](lr=0.1) for _ in range(3))
    expected = [whole.step({"w": delta})["w"] for delta in DELTAS]
    for delta in DELTAS[:5]:
        first.step({"w": delta})
    saved = first.state_dict()
    first.step({"w": DELTAS[0]})  # what was saved does not move with it
    second.load_state_dict(saved)
    for delta, step in zip(DELTAS[5:], expected[5:], strict=True):
        assert second.step({"w": delta})["w"].tobytes() == step.tobytes()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_mean_is_left_as_it_was_and_nothing_moves_without_one(name):
    optimizer = OPTIMIZERS[name](lr=0.1)
    delta = DELTAS[0].copy()
    assert optimizer.step({"w": delta})["w"].dtype == np.float32
    assert np.array_equal(delta, DELTAS[0])
    still = OPTIMIZERS[name](lr=0.1).step({"w": np.zeros(3, "f4")})["w"]
    assert still.tolist() == [0, 0, 0]


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20))
def test_yogis_variance_is_never_negative(deltas):
    optimizer = FedYogi()
    steps(optimizer, *deltas)
    assert optimizer.state_dict()["variance"]["w"].min() >= 0


def test_what_does_not_belong_is_refused():
    optimizer = FedAvgM()
    optimizer.step({"w": DELTAS[0]})
    with pytest.raises(ValueError, match="tensors of those before"):
        optimizer.step({"w": DELTAS[0][:1]})
    with pytest.raises(
        ValueError, match="state of fedadam: found momentum, allowed is momentum, v"
    ):
        FedAdam().load_state_dict(optimizer.state_dict())
    with pytest.raises(ValueError, match="state of fedavg: found momentum, allowed is no state"):
        FedAvg().load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fedavg", {"lr": 0}, r"lr: found 0\.0, allowed is more than 0"),
        ("fedavg", {"lr": float("inf")}, "lr: found inf, allowed is more than 0"),
        ("fedavg", {"momentum": 0.9}, "unknown key, allowed are lr"),
        ("fedavgm", {"momentum": 1}, r"momentum: found 1\.0, allowed are 0 to less than 1"),
        ("fedavgm", {"momentum": 0, "nesterov": True}, "nesterov: found true"),
        ("fedadagrad", {"tau": 0}, r"tau: found 0\.0"),
        ("fedadagrad", {"tau": float("inf")}, "tau: found inf, allowed is more than 0"),
        ("fedadagrad", {"initial": float("inf")}, "initial: found inf, allowed is 0 or more"),
        ("fedadam", {"beta2": -0.1}, r"beta2: found -0\.1"),
        ("fedyogi", {"beta1": float("nan")}, "fedyogi: beta1: found nan"),
        ("fedyogi", {"beta2": 1}, r"fedyogi: beta2: found 1\.0, allowed are 0 to less than 1"),
        ("fedyogi", {"initial": -1}, r"initial: found -1\.0"),
        ("sgd", {}, "allowed are fedavg, fedavgm, fedadagrad, fedadam, fedyogi"),
    ],
)
def test_options_are_checked(name, options, message):
    with pytest.raises(ValueError, match=message):
        choose("optimizer", OPTIMIZERS, name, options)
