"""The Fisher that a plain training loop measures."""

import numpy as np
import pytest
import torch

from fsim.adapters import FisherMeter, decode_update, encode_update
from fsim.core.errors import EncodingFailed
from fsim.core.types import SensitivitySettings
from fsim.training.sensitivity import Fisher

X = "x.lora_B.default.weight"


def weight(values=(1.0, 2.0)):
    return torch.nn.Parameter(torch.tensor(values))


def test_by_hand():
    parameter = weight()
    with FisherMeter([(X, parameter)], smoothing=0.5) as meter:
        (parameter * torch.tensor([2.0, 1.0])).sum().backward()  # gradients 2, 1
        (parameter * torch.tensor([0.0, 4.0])).sum().backward()  # 0, 4, whatever is accumulated
    (parameter * 100).sum().backward()  # the meter is closed
    # F = 0.5 (0.5 g1^2) + 0.5 g2^2
    assert meter.fisher()[X].tolist() == [1.0, 0.25 + 8.0]


def test_as_the_simulator_measures_it():
    gradients = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    present = torch.zeros(1, 7)
    theirs = Fisher(present, SensitivitySettings())
    parameter = weight([0.0] * 7)
    ours = FisherMeter([(X, parameter)], smoothing=SensitivitySettings().smoothing)
    for gradient in gradients:
        present.copy_(gradient)
        theirs.observe()
        (parameter * gradient).sum().backward()
    np.testing.assert_allclose(ours.fisher()[X], theirs.values[0].numpy(), rtol=1e-6)


def test_frozen_ones_have_none():
    frozen = weight().requires_grad_(False)
    parameter = weight()
    meter = FisherMeter([(X, parameter), ("x.lora_A.weight", frozen)])
    (parameter * frozen).sum().backward()
    assert meter.fisher()["x.lora_A.weight"].tolist() == [0.0, 0.0]
    assert meter.fisher()[X].all()


def test_bfloat16_gradients_are_squared_in_float32():
    parameter = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.bfloat16))
    meter = FisherMeter([(X, parameter)], smoothing=0.0)
    (parameter * 1.0078125).sum().backward()  # 1 + 2^-7, the next bfloat16 after 1
    assert meter.fisher()[X].tolist() == [1.0078125**2]


@pytest.mark.parametrize("policy", ["fstq", "fisher-rdo"])
def test_what_it_measures_steers_a_policy(policy):
    torch.manual_seed(0)
    model = torch.nn.Linear(64, 32, bias=False)
    before = {"weight": model.weight.detach().clone()}
    meter = FisherMeter(model.named_parameters())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        model(torch.randn(8, 64)).square().mean().backward()
        optimiser.step()
    payload = encode_update(
        before, model.state_dict(), policy, seed=0, round_number=1, client=0, fisher=meter.fisher()
    )
    update = decode_update(payload, before, policy)["weight"]
    assert len(payload) < 2 * model.weight.numel()
    moved = (model.weight.detach() - before["weight"]).numpy()
    assert np.sum(update * moved) > 0.3 * np.sum(moved**2)


def test_what_it_refuses():
    with pytest.raises(ValueError, match="smoothing: found 1"):
        FisherMeter([(X, weight())], smoothing=1)
    with pytest.raises(EncodingFailed, match="requires a gradient"):
        FisherMeter([(X, weight().requires_grad_(False))])
