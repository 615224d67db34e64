"""Token merging within a decoder: some layers see every token, the others a shortened stream.

After ToMe (Bolya et al., "Token Merging: Your ViT But Faster", ICLR 2023), made for encoders of
images. What a causal language model with rotary positions asks for beyond it:

- Only tokens of the prompt merge, the first one left out (it is where attention goes that has
  nowhere to go, as ToMe leaves the class token alone), and the last, which the first target is
  predicted from. So no target is lost, and which tokens merge does not depend on the answer.
- A merged token sits, in order and in rotary position, where the last of its members sat.
- Keys are compared before rotation, averaged over their heads: by content, not by distance.
- Tokens merge once, where ToMe merges some in every layer; between two layers, where ToMe merges
  between attention and feed-forward block.

Proportional attention is ToMe's: the logarithm of a token's size is added to its logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from fsim.core.errors import ScenarioError
from fsim.core.types import MergingSettings
from fsim.data.encoding import Batch
from fsim.model.last_layer import layers_of
from fsim.model.token_matching import Matching, bipartite_soft_matching


def mergeable_tokens(read: int, scored: int) -> int:
    """Number of tokens of a row that may merge: those of its prompt but the first and the last."""
    return max(0, read - scored - 1)


def merges(mergeable: int, settings: MergingSettings) -> int:
    """Number of tokens that merging takes from a row, at most half of those that may merge."""
    return mergeable - math.ceil(settings.keep * mergeable)


class TokenMerging:
    """Merges tokens of batches on their way through a decoder.

    Parameters
    ----------
    decoder
        A decoder of transformers, without its output layer.
    settings
        See :class:`fsim.core.types.MergingSettings`.

    Attributes
    ----------
    late
        The layers that see the shortened stream.
    head_width
        Of the keys that are compared.

    Raises
    ------
    ScenarioError
        The decoder has too few layers, or is built such that its stream cannot be shortened.
    """

    def __init__(self, decoder: Any, settings: MergingSettings) -> None:
        self.settings = settings
        layers = layers_of(decoder)
        early = settings.after
        if layers is not None and not 0 < early < len(layers):
            raise ScenarioError(
                f"compression.after: found {early}, allowed are 1 to {len(layers) - 1}: tokens "
                f"merge between two of the model's {len(layers)} layers"
            )
        attention = getattr(layers[early - 1], "self_attn", None) if layers is not None else None
        keys, width = getattr(attention, "k_proj", None), getattr(attention, "head_dim", None)
        if layers is None or keys is None or width is None:
            raise _unfit(decoder, "no layers with self_attn.k_proj")
        self._keys, self.head_width = keys, int(width)
        self.late = list(layers[early:])
        self._check(decoder)

    def after(self, batch: Batch) -> Batch:
        """Batch with the scored positions and ends of rows as they are once tokens have merged.

        Its ids are all 0: a merged token has none. The length follows from the batch's shape alone.
        """
        fewer = self._merges(batch)
        rows, length = batch.ids.shape[0], self._length(batch)
        at = torch.where(batch.scored, batch.at - fewer.unsqueeze(1), 0)
        return Batch(batch.ids.new_zeros(rows, length), at, batch.targets, batch.lengths - fewer)

    @contextmanager
    def on(self, batch: Batch) -> Iterator[None]:
        """Within this context, one pass of the decoder merges the tokens of this batch.

        Raises
        ------
        ValueError
            The batch has lost some of its positions already.
        """
        if batch.positions is not None:
            raise ValueError("tokens cannot merge in a batch that positions were left out of")
        places = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        inner = (batch.lengths - batch.scored.sum(1)).unsqueeze(1)
        mergeable = (places > 0) & (places < inner)
        with self._hooked(mergeable, self._merges(batch), self._length(batch)):
            yield

    def _merges(self, batch: Batch) -> torch.Tensor:
        """Number of tokens that each row loses, (rows,)."""
        length = batch.ids.shape[1]
        table = [merges(count, self.settings) for count in range(length + 1)]
        mergeable = (batch.lengths - batch.scored.sum(1) - 1).clamp(min=0)
        return torch.tensor(table, device=batch.ids.device)[mergeable]

    def _length(self, batch: Batch) -> int:
        """Length that no row of such a shape exceeds afterwards.

        A row that is longer, or of which more is scored, never has fewer tokens left.
        """
        length, columns = batch.ids.shape[1], batch.at.shape[1]
        return length - merges(mergeable_tokens(length, columns), self.settings)

    @contextmanager
    def _hooked(self, mergeable: torch.Tensor, fewer: torch.Tensor, length: int) -> Iterator[None]:
        stream = _Stream(mergeable, fewer, length, self.head_width, self.settings.proportional)
        with ExitStack() as hooks:
            hooks.callback(self._keys.register_forward_hook(stream.take_keys).remove)
            for layer in self.late:
                handle = layer.register_forward_pre_hook(stream.enter, with_kwargs=True)
                hooks.callback(handle.remove)
            yield

    @torch.no_grad()
    def _check(self, decoder: Any) -> None:
        """Check that layers heed their arguments: with no two tokens merged nothing changes."""
        device = decoder.get_input_embeddings().weight.device
        ids = torch.arange(16, device=device).view(2, 8) % decoder.config.vocab_size
        mergeable = torch.ones_like(ids, dtype=torch.bool)
        outputs = []
        try:
            for fewer, length in ((0, 8), (2, 6)):
                count = torch.full((2,), fewer, device=device)
                with self._hooked(mergeable, count, length):
                    outputs.append(decoder(ids, use_cache=False)[0])
        except (TypeError, KeyError, RuntimeError) as error:
            raise _unfit(decoder, f"{type(error).__name__}: {error}".splitlines()[0]) from error
        plain = decoder(ids, use_cache=False)[0]
        limit = 1e-2 * float(plain.abs().max())
        if not torch.allclose(outputs[0], plain, rtol=1e-2, atol=limit) or outputs[1].shape[1] != 6:
            raise _unfit(decoder, "layers that take positions or masks in a way of their own")


class _Stream:
    """One pass: keys are taken in one layer, tokens merge before the next."""

    def __init__(
        self,
        mergeable: torch.Tensor,
        fewer: torch.Tensor,
        length: int,
        head: int,
        proportional: bool,
    ) -> None:
        self._mergeable = mergeable
        self._fewer = fewer
        self._length = length
        self._head = head
        self._proportional = proportional
        self._keys: torch.Tensor | None = None
        self._matching: Matching | None = None
        self._sizes: torch.Tensor
        self._results: dict[int, tuple[Any, Any]] = {}

    def take_keys(self, module: torch.nn.Module, arguments: Any, output: torch.Tensor) -> None:
        """After the projection to keys, (rows, length, heads x width): keep their mean."""
        heads = output.detach().float().view(*output.shape[:2], -1, self._head)
        self._keys = heads.mean(2)

    def enter(self, layer: torch.nn.Module, arguments: Any, options: dict[str, Any]) -> Any:
        """Before a layer of the shortened stream: what it is called with instead."""
        hidden, *others = arguments
        if self._matching is None:
            if self._keys is None:
                raise RuntimeError("no keys were computed before tokens were to merge")
            self._matching = bipartite_soft_matching(
                self._keys, self._mergeable, self._fewer, self._length
            )
            ones = torch.ones_like(self._mergeable, dtype=torch.float32)
            hidden, self._sizes = self._matching.merge(hidden, ones)
        positions = self._matching.positions
        changed = {
            "position_embeddings": self._once(
                options["position_embeddings"],
                lambda pair: tuple(_at_positions(each, positions) for each in pair),
            ),
            "attention_mask": self._once(
                options["attention_mask"], lambda mask: self._mask(mask, positions, hidden.dtype)
            ),
        }
        if options.get("position_ids") is not None:
            changed["position_ids"] = positions
        return (hidden, *others), options | changed

    def _once(self, argument: Any, make: Callable[[Any], Any]) -> Any:
        """Result for an argument that the decoder hands to many layers, made once."""
        key = id(argument)
        if key not in self._results:
            self._results[key] = argument, make(argument)  # kept, so that its id stays its own
        return self._results[key][1]

    def _mask(
        self, mask: torch.Tensor | None, positions: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor | None:
        """The mask that layers add to logits, (rows, 1, length, length); None if causal alone."""
        if mask is None:
            if not self._proportional:
                return None
            places = torch.arange(positions.shape[1], device=positions.device)
            combined = (places <= places.unsqueeze(1))[None, None]
        else:
            rows = torch.arange(len(positions), device=positions.device)[:, None, None]
            whole = mask.expand(len(positions), -1, -1, -1)
            combined = whole[rows, :, positions[:, :, None], positions[:, None, :]].movedim(-1, 1)
        if combined.dtype == torch.bool:
            combined = torch.zeros_like(combined, dtype=dtype).masked_fill(~combined, -torch.inf)
        if not self._proportional:
            return combined
        return combined + self._sizes.log()[:, None, None].to(dtype)


def _at_positions(rotation: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Rotations (rows or 1, length, width) at the places that are left."""
    whole = rotation.expand(len(positions), -1, -1)
    return whole.gather(1, positions.unsqueeze(-1).expand(-1, -1, whole.shape[-1]))


def _unfit(decoder: Any, reason: str) -> ScenarioError:
    return ScenarioError(
        f"model.name: found {type(decoder).__name__} with {reason}, tokens can merge in decoders "
        "as Llama's, with self_attn.k_proj and rotary positions"
    )
