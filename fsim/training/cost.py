"""Floating-point operations of a local training job, from the model's shape and its batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fsim.data.encoding import Encoded
from fsim.model.adapter import PREFIX, AdaptedModel
from fsim.model.merging import TokenMerging, mergeable_tokens, merges


class TrainingCost:
    """Counts the operations of forward and backward passes.

    A multiply-add is 2 operations. A frozen weight costs 2 a token forward and 2 backward (only the
    gradient with respect to its input is computed), an adapter weight 2 and 4. Attention costs
    4 x layers x width x length^2 a sequence forward and twice that backward. Logits are computed,
    and counted, at the scored positions only. Norms and activations are left out.

    Where tokens merge, later layers see what is left, and each pair of tokens that are compared
    costs 2 x the width of a head, forward only.

    Parameters
    ----------
    adapted
        The model.
    merging
        How training merges tokens; None where it merges none.
    """

    def __init__(self, adapted: AdaptedModel, merging: TokenMerging | None = None) -> None:
        model, config = adapted.model, adapted.model.config
        self._merging = merging
        self._layers: int = config.num_hidden_layers
        self._attention: int = 4 * config.hidden_size
        head = model.get_output_embeddings()
        self._head = head.weight.numel()
        self._token = _operations_a_token(adapted, "")
        self._late = 0
        if merging is not None:
            names = {module: name for name, module in model.named_modules()}
            self._late = sum(_operations_a_token(adapted, f"{names[m]}.") for m in merging.late)

    def operations(self, batches: Sequence[Sequence[Encoded]]) -> float:
        """Operations of training on the given rows, forward and backward."""
        total = 0.0
        for row in (row for batch in batches for row in batch):
            length = len(row.ids) - 1
            total += length * self._token
            total += 3 * self._attention * self._layers * length**2
            total += row.scored * 4 * self._head
            if self._merging is not None:
                total -= self._saved(length, row.scored, self._merging)
        return total

    def _saved(self, length: int, scored: int, merging: TokenMerging) -> int:
        """Operations that merging takes from a row."""
        mergeable = mergeable_tokens(length, scored)
        fewer = merges(mergeable, merging.settings)
        squares = length**2 - (length - fewer) ** 2
        compared = (mergeable + 1) // 2 * (mergeable // 2)
        saved = fewer * self._late + 3 * self._attention * len(merging.late) * squares
        return saved - 2 * merging.head_width * compared


def _operations_a_token(adapted: AdaptedModel, under: str) -> int:
    """Of all linear layers whose names begin so, the output layer left out, both ways."""
    model = adapted.model
    head = model.get_output_embeddings()
    frozen = sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and module is not head
        and "lora_" not in name
        and name.startswith(under)
    )
    adapter = sum(
        spec.size for spec in adapted.layout.tensors if spec.name.startswith(PREFIX + under)
    )
    return 4 * frozen + 6 * adapter
