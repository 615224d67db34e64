"""Many LoRA adapters on one frozen model: one slot for each, all in one forward pass.

Picture a row of pupils who share one textbook and each keep a notebook. The textbook is the frozen
base; a notebook is a slot's A and B matrices. Rows of a batch come in slot order, so that each
adapted layer sees its input as (slots, rows x tokens, width) and applies every slot's matrices by
one batched product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fsim.core.types import FloatArray, Layout

ALIGNMENT = 64
"""Float32 numbers in the widest block that a processor's vector instructions take at once."""


def aligned(size: int) -> int:
    """The next multiple of :data:`ALIGNMENT`, for rows whose arithmetic is to be the same."""
    return -(-size // ALIGNMENT) * ALIGNMENT


class _AddLowRank(torch.autograd.Function):
    """``wide + scaling low B^T`` for every slot, in place of ``wide``.

    What PyTorch's own ``baddbmm`` does, but for the backward product with B, whose rows are so
    short that a processor's matrix routines take four times as long for it as for its transpose.
    The sums are rounded in another order, of which AdamW makes up to 4e-5 relative in a few steps.
    """

    @staticmethod
    def forward(
        ctx: Any, wide: torch.Tensor, low: torch.Tensor, slot_b: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        ctx.save_for_backward(low, slot_b)
        ctx.scaling = scaling
        ctx.mark_dirty(wide)
        return wide.baddbmm_(low, slot_b.transpose(1, 2), alpha=scaling)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        low, slot_b = ctx.saved_tensors
        (grad,) = outer
        grad_b = grad_low = None
        if ctx.needs_input_grad[1]:
            transposed = torch.bmm(slot_b.transpose(1, 2), grad.transpose(1, 2))
            grad_low = transposed.mul_(ctx.scaling).transpose(1, 2)
        if ctx.needs_input_grad[2]:
            grad_b = torch.bmm(low.transpose(1, 2), grad).mul_(ctx.scaling).transpose(1, 2)
        return grad, grad_low, grad_b, None


class SlottedLinear(torch.nn.Module):
    """A frozen linear layer with a LoRA pair for each slot, in place of peft's layer.

    Parameters
    ----------
    base_layer
        The frozen layer: ``nn.Linear`` or anything that maps (..., in) to (..., out).
    scaling
        peft's factor on the product of A and B.

    Attributes
    ----------
    exact
        Whether sums are rounded in the order in which peft's layer rounds them, or in whichever is
        fastest.
    """

    def __init__(self, base_layer: torch.nn.Module, scaling: float) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.scaling = scaling
        self.exact = True
        self.slot_a: torch.Tensor
        self.slot_b: torch.Tensor

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map (rows, length, in), rows in slot order, to (rows, length, out)."""
        slots, _, width = self.slot_a.shape
        shape = inputs.shape[:-1]
        # Nothing else holds the base layer's output: adding in place saves a copy of it. It comes
        # in the products' own shape because autograd copies gradients of what is added to a view.
        wide: torch.Tensor = self.base_layer(inputs.reshape(slots, -1, width))
        # A view of its own: gradients at the inputs are then summed in peft's order.
        rows = inputs.reshape(slots, -1, width).to(self.slot_a.dtype)
        low = torch.bmm(rows, self.slot_a.transpose(1, 2))
        high = self.slot_b.transpose(1, 2)
        if wide.dtype != low.dtype:
            sums = torch.baddbmm(wide.to(low.dtype), low, high, alpha=self.scaling)
            wide = sums.to(wide.dtype)
        elif self.exact:
            wide.baddbmm_(low, high, alpha=self.scaling)
        else:
            wide = _AddLowRank.apply(  # type: ignore[no-untyped-call]
                wide, low, self.slot_b, self.scaling
            )
        return wide.view(*shape, -1)


class Slots:
    """The adapters of a batch, one a row of a matrix of shape (slots, coordinates).

    Each layer's A and B are views into that matrix, and their gradients are brought together in
    another of the same shape, so that an optimiser step, a norm or a Fisher average of all slots is
    one operation.

    Parameters
    ----------
    layout
        Order and shapes of the matrices within a row.
    count
        Number of slots.
    trainable
        Whether gradients are kept.
    device
        Where the matrices are.
    """

    def __init__(
        self, layout: Layout, count: int, *, trainable: bool, device: torch.device
    ) -> None:
        # Rows begin at vector boundaries: a coordinate's arithmetic is the same in every slot.
        self.size = layout.size
        self.values = torch.zeros(count, aligned(layout.size), device=device)
        self.gradients = torch.zeros_like(self.values) if trainable else None
        self.matrices: dict[str, torch.Tensor] = {}
        self._gradient_views: list[torch.Tensor] = []
        for spec, begin, end in zip(layout.tensors, layout.bounds, layout.bounds[1:], strict=False):
            shape = (count, *spec.shape)
            matrix = self.values[:, begin:end].view(shape)
            self.matrices[spec.name] = matrix
            if self.gradients is not None:
                matrix.requires_grad_()
                self._gradient_views.append(self.gradients[:, begin:end].view(shape))

    @torch.no_grad()
    def load(self, rows: Sequence[FloatArray]) -> None:
        """Put flat adapters into the first slots; slots left over repeat the first."""
        for slot in range(len(self.values)):
            row = rows[slot] if slot < len(rows) else rows[0]
            self.values[slot, : self.size].copy_(torch.from_numpy(row))

    def backward(self, loss: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Put the gradients of ``loss`` into ``gradients``; return those at other tensors."""
        matrices = list(self.matrices.values())
        gradients = torch.autograd.grad(loss, (*matrices, *others))
        torch._foreach_copy_(self._gradient_views, list(gradients[: len(matrices)]))
        return gradients[len(matrices) :]

    def read(self, slot: int) -> FloatArray:
        """A slot's adapter as a flat array."""
        flat: FloatArray = self.values[slot, : self.size].cpu().numpy().copy()
        return flat
