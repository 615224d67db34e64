"""The last layer at scored positions only.

What comes after the last layer's attention, its output projection and the feed-forward block, goes
at each position nowhere but into that position's own logits. Where few positions are scored, as in
answers to long prompts, most of that work is for nobody: leaving it out is exact, forward and
backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from fsim.model.gather import pick, put

WORTH_IT = 0.7
"""Share of the positions above which choosing them costs more than it saves."""

PARTS = ("self_attn.o_proj", "mlp")
"""What comes after attention in a layer, as most models of transformers name it. Queries are as
much for their own position alone, but leaving some out sums gradients in another order than peft
(docs/research-log.md)."""


def layers_of(decoder: torch.nn.Module) -> torch.nn.ModuleList | None:
    """The layers of a decoder of transformers; None where it is built in some other way."""
    lists = [part for part in decoder.children() if isinstance(part, torch.nn.ModuleList)]
    return lists[0] if len(lists) == 1 else None


class LastLayer:
    """Lets parts of a model's last layer see chosen positions only.

    Parameters
    ----------
    decoder
        A decoder of transformers, without its output layer. Parts that it does not have by the
        names of :data:`PARTS` see everything.
    """

    def __init__(self, decoder: torch.nn.Module) -> None:
        self._places: torch.Tensor | None = None
        layers = layers_of(decoder)
        if layers is None:
            return
        parts = dict(layers[-1].named_modules())
        for part in (parts[name] for name in PARTS if name in parts):
            part.forward = partial(self._forward, part.forward)

    @contextmanager
    def only(self, places: torch.Tensor, positions: int) -> Iterator[None]:
        """Within this context the parts see some positions, and give 0 at all others.

        Parameters
        ----------
        places
            Distinct places in the flattened first two dimensions of the hidden states, (rows,
            places a row).
        positions
            How many there are to choose from.
        """
        if places.numel() <= WORTH_IT * positions:
            self._places = places
        try:
            yield
        finally:
            self._places = None

    def _forward(self, whole: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor) -> Any:
        if self._places is None:
            return whole(hidden)
        flat, places = hidden.flatten(0, 1), self._places
        output = whole(pick(flat, places.flatten()).view(*places.shape, -1))
        everywhere = put(output.flatten(0, 1), places.flatten(), len(flat))
        return everywhere.view(*hidden.shape[:2], -1)
