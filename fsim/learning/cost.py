"""Floating-point operations of a local training job, from the model's shape and its batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fsim.learning.adapter import AdaptedModel
from fsim.learning.encoding import Encoded


class TrainingCost:
    """Counts the operations of forward and backward passes.

    A multiply-add is 2 operations. A frozen weight costs 2 a token forward and 2 backward (only the
    gradient with respect to its input is computed), an adapter weight 2 and 4. Attention costs
    4 x layers x width x length^2 a sequence forward and twice that backward. Logits are computed,
    and counted, at the scored positions only. Norms and activations are left out.
    """

    def __init__(self, adapted: AdaptedModel) -> None:
        config = adapted.model.config
        self._attention = 4 * config.num_hidden_layers * config.hidden_size
        head = adapted.model.get_output_embeddings()
        self._head = head.weight.numel()
        self._adapter = adapted.layout.size
        self._frozen = sum(
            module.weight.numel()
            for name, module in adapted.model.named_modules()
            if isinstance(module, torch.nn.Linear) and module is not head and "lora_" not in name
        )

    def operations(self, batches: Sequence[Sequence[Encoded]]) -> float:
        """Operations of training on the given rows, forward and backward."""
        total = 0.0
        for row in (row for batch in batches for row in batch):
            length = len(row.ids) - 1
            total += length * (4 * self._frozen + 6 * self._adapter)
            total += 3 * self._attention * length**2
            total += row.scored * 4 * self._head
        return total
