"""Choosing and putting back: values worked by hand, gradients against PyTorch's own."""

import torch

from fsim.model.gather import pick, put


def test_values_by_hand():
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    places = torch.tensor([2, 0])
    assert pick(values, places).tolist() == [[5.0, 6.0], [1.0, 2.0]]
    assert put(values[:2], places, 4).tolist() == [[3.0, 4.0], [0, 0], [1.0, 2.0], [0, 0]]
    assert put(values[:, :1], torch.tensor([1]), 3, dim=1).tolist() == [
        [0, 1.0, 0], [0, 3.0, 0], [0, 5.0, 0],
    ]  # fmt: skip


def test_each_is_the_others_backward_pass():
    values = torch.randn(3, 5, 2, dtype=torch.double, requires_grad=True)
    places = torch.tensor([4, 1, 2])
    assert torch.autograd.gradcheck(lambda v: pick(v, places, dim=1), values)
    few = torch.randn(3, 3, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: put(v, places, 7, dim=1), few)
