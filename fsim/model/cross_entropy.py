"""Cross-entropy behind a frozen output layer, its gradient taken on the way forward.

The output layer's weights need no gradient, so that all that a backward pass wants from it is the
gradient at the hidden states, (softmax - one-hot) W, which is at hand as soon as the logits are.
Working it out there and then, a client at a time, means that logits are never kept: of a vocabulary
times all scored positions, only the block at work lies in memory, and in cache.
"""

from __future__ import annotations

from typing import Any

import torch


class _FrozenCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        places: torch.Tensor,
        targets: torch.Tensor,
        counts: torch.Tensor,
        parts: list[int],
    ) -> torch.Tensor:
        rows = hidden.flatten(0, 1).index_select(0, places)
        losses = torch.empty_like(counts)
        gradients = torch.empty_like(rows)
        begin = 0
        for size in parts:
            if size:
                part = slice(begin, begin + size)
                column = targets[part].unsqueeze(1)
                block = rows[part].to(weight.dtype)
                logits = torch.nn.functional.linear(block, weight, bias).float()
                likelihoods = torch.log_softmax(logits, 1)
                losses[part] = likelihoods.gather(1, column).squeeze(1).neg_()
                # PyTorch's own backward step, so that every bit is as an ordinary loss leaves it.
                outer = logits.zero_().scatter_(1, column, -counts[part].unsqueeze(1))
                inner = torch.ops.aten._log_softmax_backward_data(
                    outer, likelihoods, 1, torch.float32
                )
                gradients[part] = inner.to(weight.dtype) @ weight
            begin += size
        ctx.save_for_backward(places, gradients)
        ctx.shape = hidden.shape
        return losses.mul_(counts)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        places, gradients = ctx.saved_tensors
        rows, length, width = ctx.shape
        everywhere = gradients.new_zeros(rows * length, width)
        scaled = gradients * outer[0].unsqueeze(1).to(gradients.dtype)
        everywhere.index_copy_(0, places, scaled)
        return everywhere.view(ctx.shape), None, None, None, None, None, None


def frozen_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    places: torch.Tensor,
    targets: torch.Tensor,
    counts: torch.Tensor,
    parts: list[int],
) -> torch.Tensor:
    """Negative log-likelihood of targets, nats, times what each counts for, in float32.

    Parameters
    ----------
    hidden
        What enters the output layer, (rows, length, width).
    weight, bias
        Of the output layer, (vocabulary, width) and (vocabulary,) or None; both frozen.
    places
        Which positions are scored, no one twice, as indices into the flattened first two
        dimensions, (places,).
    targets
        Ids to predict there, (places,).
    counts
        Factors of the losses, (places,), without gradient.
    parts
        How many places belong to each client, in order: each client's are worked out by
        themselves, so that its arithmetic is the same whoever comes before and after.

    Returns
    -------
    torch.Tensor
        (places,)
    """
    losses: torch.Tensor = _FrozenCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, places, targets, counts, parts
    )
    return losses
