"""Choosing places of a tensor, and putting them back: each the other's backward pass.

PyTorch's own ``index_select`` does not know that no place is chosen twice, and adds up gradients
one by one.
"""

from __future__ import annotations

from typing import Any

import torch


class _Pick(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, places: torch.Tensor, dim: int) -> torch.Tensor:
        ctx.save_for_backward(places)
        ctx.dim, ctx.size = dim, values.shape[dim]
        return values.index_select(dim, places)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return _put(outer[0], places, ctx.size, ctx.dim), None, None


class _Put(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: torch.Tensor, places: torch.Tensor, size: int, dim: int
    ) -> torch.Tensor:
        ctx.save_for_backward(places)
        ctx.dim = dim
        return _put(values, places, size, dim)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (places,) = ctx.saved_tensors
        return outer[0].index_select(ctx.dim, places), None, None, None


def _put(values: torch.Tensor, places: torch.Tensor, size: int, dim: int) -> torch.Tensor:
    shape = [*values.shape[:dim], size, *values.shape[dim + 1 :]]
    return values.new_zeros(shape).index_copy_(dim, places, values)


def pick(values: torch.Tensor, places: torch.Tensor, dim: int = 0) -> torch.Tensor:
    """The values at some places of a dimension, which must be distinct."""
    picked: torch.Tensor = _Pick.apply(values, places, dim)  # type: ignore[no-untyped-call]
    return picked


def put(values: torch.Tensor, places: torch.Tensor, size: int, dim: int = 0) -> torch.Tensor:
    """A tensor of a size in one dimension: the values at distinct places, 0 elsewhere."""
    spread: torch.Tensor = _Put.apply(values, places, size, dim)  # type: ignore[no-untyped-call]
    return spread
