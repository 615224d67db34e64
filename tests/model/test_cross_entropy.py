"""The loss behind a frozen output layer, against PyTorch's own."""

import pytest
import torch

from fsim.model.cross_entropy import frozen_cross_entropy


def setting(bias=False):
    torch.manual_seed(0)
    hidden = torch.randn(4, 5, 8, requires_grad=True)
    weight = torch.randn(11, 8)
    places = torch.tensor([0, 3, 4, 7, 12, 18])
    targets = torch.tensor([10, 0, 3, 3, 9, 5])
    counts = torch.tensor([0.5, 0.25, 0.25, 1.0, 2.0, 0.1])
    return hidden, weight, torch.randn(11) if bias else None, places, targets, counts


def by_pytorch(hidden, weight, bias, places, targets, counts):
    logits = torch.nn.functional.linear(hidden.flatten(0, 1)[places], weight, bias)
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none") * counts


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("parts", [[6], [3, 1, 2], [0, 4, 0, 2]])
def test_losses_and_gradient_are_pytorchs(bias, parts):
    arguments = setting(bias)
    hidden = arguments[0]
    expected = by_pytorch(*arguments)
    (gradient,) = torch.autograd.grad(expected.sum(), hidden)
    found = frozen_cross_entropy(*arguments, parts)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), hidden)[0], gradient)


def test_gradient_follows_what_becomes_of_each_loss():
    arguments = setting()
    factors = torch.tensor([1.0, 0.0, -2.0, 3.0, 0.5, 1.0])
    (expected,) = torch.autograd.grad((by_pytorch(*arguments) * factors).sum(), arguments[0])
    losses = frozen_cross_entropy(*arguments, [6])
    (found,) = torch.autograd.grad((losses * factors).sum(), arguments[0])
    torch.testing.assert_close(found, expected)


def test_one_of_two_by_hand():
    # Logits 0 and ln 3: shares 1/4 and 3/4. The target is the first: loss ln 4, and the gradient
    # at the hidden state is (1/4 - 1) x 0 + 3/4 x ln 3.
    hidden = torch.ones(1, 1, 1, requires_grad=True)
    weight = torch.tensor([[0.0], [1.0986123]])
    one = torch.tensor([0])
    loss = frozen_cross_entropy(hidden, weight, None, one, one, torch.ones(1), [1])
    loss.sum().backward()
    assert loss.item() == pytest.approx(1.3862944, rel=1e-6)
    assert hidden.grad.item() == pytest.approx(0.75 * 1.0986123, rel=1e-6)


def test_a_clients_bits_do_not_depend_on_the_others():
    hidden, weight, bias, places, targets, counts = setting()
    together = frozen_cross_entropy(hidden, weight, bias, places, targets, counts, [4, 2])
    (gradient,) = torch.autograd.grad(together.sum(), hidden)
    alone = frozen_cross_entropy(hidden, weight, bias, places[4:], targets[4:], counts[4:], [2])
    (own,) = torch.autograd.grad(alone.sum(), hidden)
    assert torch.equal(together[4:], alone)
    assert torch.equal(gradient.flatten(0, 1)[places[4:]], own.flatten(0, 1)[places[4:]])


def test_hopeless_targets_have_finite_losses():
    hidden = torch.ones(1, 1, 1, requires_grad=True)
    weight = torch.tensor([[0.0], [500.0]])
    one = torch.tensor([0])
    loss = frozen_cross_entropy(hidden, weight, None, one, one, torch.ones(1), [1])
    assert loss.item() == pytest.approx(500.0)
