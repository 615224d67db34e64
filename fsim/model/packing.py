"""Sequences end to end: padding is computed nowhere but inside attention.

Picture passengers who sit in rows of eight, many seats empty: for every layer but attention, which
works row by row, they may as well queue up in one line. A model's layers then see (1, tokens,
width), every token counting its positions from the beginning of its own sequence, and attention
alone lays the tokens out again, padded on the right, for as long as it needs.

transformers lets an attention function be registered by name and hands a mask of four dimensions on
to it untouched. So what is handed on here as a mask of whole numbers is a :class:`Packing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from fsim.data.encoding import Batch
from fsim.model.gather import pick, put
from fsim.model.gguf import quiet

NAME = "fsim-packed"
"""The attention function's name in transformers' registry."""


@dataclass(frozen=True)
class Packing:
    """Packing of a padded batch's tokens in one line.

    Attributes
    ----------
    places
        The flattened place, row x length + column, of each token, in order, (tokens,).
    """

    places: torch.Tensor

    @classmethod
    def of(cls, batch: Batch) -> Packing:
        """Packing of a batch."""
        return cls(batch.read.flatten().nonzero().squeeze(1))

    def inputs(self, batch: Batch, embeddings: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Arguments that a model is called with to read a batch in packed form.

        Parameters
        ----------
        embeddings
            To use in place of the batch's ids, (rows, length, width).
        """
        if embeddings is None:
            line = {"input_ids": batch.ids.flatten()[self.places].unsqueeze(0)}
        else:
            line = {"inputs_embeds": pick(embeddings.flatten(0, 1), self.places).unsqueeze(0)}
        if batch.positions is None:
            positions = self.places % batch.ids.shape[1]
        else:
            positions = batch.positions.flatten()[self.places]
        mask = torch.zeros_like(batch.ids)
        mask.view(-1)[: len(self.places)] = self.places
        return line | {"position_ids": positions.unsqueeze(0), "attention_mask": mask[None, None]}

    def line_up(self, batch: Batch, places: torch.Tensor) -> torch.Tensor:
        """Positions in the line of flattened places of the padded batch, none of them padding."""
        order = torch.zeros_like(batch.ids).flatten()
        order[self.places] = torch.arange(len(self.places), device=order.device)
        return order[places]


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it: PyTorch's kernels, each packed sequence by itself.

    Parameters
    ----------
    query, key, value
        (1, heads, tokens, width), or (rows, heads, length, width) where nothing is packed.
    attention_mask
        As :meth:`Packing.inputs` makes it; anything else is an ordinary mask.

    Returns
    -------
    torch.Tensor
        (1, tokens, heads, width), or (rows, length, heads, width).
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if attention_mask is None or attention_mask.dtype != torch.int64:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)  # type: ignore[no-any-return]
    rows, length = attention_mask.shape[2:]
    places = attention_mask.flatten()[: query.shape[2]]

    def laid_out(line: torch.Tensor) -> torch.Tensor:
        padded = put(line[0], places, rows * length, dim=1)
        return padded.view(len(padded), rows, length, -1).transpose(0, 1)

    mask = _window(length, options.get("sliding_window"), query.device)
    output, _ = sdpa_attention_forward(
        module, laid_out(query), laid_out(key), laid_out(value), mask, **options
    )
    return pick(output.flatten(0, 1), places).unsqueeze(0), None


def _window(length: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    """Mask of what a sliding window lets see, (length, length); None where that is all before."""
    if window is None or window >= length:
        return None
    at = torch.arange(length, device=device)
    ago = at.unsqueeze(1) - at
    return (ago >= 0) & (ago < window)


def use_packed_attention(model: Any) -> bool:
    """Give a model of transformers the packed attention; False where it takes none.

    Models keep their own attention if it is not PyTorch's kernel to begin with: what others do
    beside (caps, sinks) would be lost.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    if model.config._attn_implementation != "sdpa":
        return False
    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    with quiet():  # it warns where it cannot
        model.set_attn_implementation(NAME)
    return bool(model.config._attn_implementation == NAME)
