"""Reading a prompt with fewer and fewer tokens: all of them up to a layer, the salient ones after.

Layers 1 to n see the whole prompt and keep keys and values of all of it. What leaves layer n is
scored, the rest of the layers goes on with the tokens that stay, and keeps only theirs. Rotary
positions of what stays are the original ones, and an answer goes on counting from the prompt's
true length: every later layer computes exactly what it would if the tokens left out were there and
hidden from attention (the tests compare with that).

It works on models of transformers as they are, from outside: hooks before the layers choose what of
their arguments is passed on.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch

from fsim.core.errors import InferenceError
from fsim.inference.prefill import Call, Reader
from fsim.inference.token_choice import Keep

_TOKEN_ARGUMENTS = ("position_ids", "position_embeddings")
"""Arguments of a layer that say something of each token that it reads."""


@dataclass(frozen=True)
class View:
    """View of a prompt on its way from one layer to the next: all that a scorer may look at.

    Attributes
    ----------
    ids
        Token ids, (rows, length); padding on the left.
    read
        Where a token is, padding left out, (rows, length), boolean.
    hidden
        What leaves layer n, (rows, length, width).
    """

    ids: torch.Tensor
    read: torch.Tensor
    hidden: torch.Tensor


class Scorer(Protocol):
    """Interface of scorers, which tell how salient each token of a prompt is without gradients."""

    def watching(self, layer: torch.nn.Module) -> Any:
        """A context within which layer n reads the prompt, for scorers that look inside it."""
        ...

    def score(self, view: View) -> torch.Tensor:
        """Logarithm of each token's saliency up to a constant, (rows, length), float32."""
        ...


class PromptPruner(Reader):
    """Reads prompts with a model, and leaves tokens out of its later layers.

    Parameters
    ----------
    model
        A causal language model of transformers whose layers keep keys and values, or one that peft
        adapted. Left as it is.
    layer
        n, from 1 to one less than there are layers: how many read the whole prompt.
    scorer
        What tells how salient a token is.
    keep
        How many stay.

    Raises
    ------
    InferenceError
        A layer that there is not, or a model whose hidden states are out of reach.
    """

    def __init__(self, model: Any, layer: int, scorer: Scorer, keep: Keep) -> None:
        super().__init__(model)
        self._layers = layers_of(model)
        check_layer(layer, self._layers)
        self.layer, self.scorer, self.keep = layer, scorer, keep
        self._names = [list(inspect.signature(each.forward).parameters) for each in self._layers]

    @contextmanager
    def _hooked(self, call: Call) -> Iterator[None]:
        """Within this context the layers after n see the tokens of the call that stay."""
        hooks = [
            layer.register_forward_pre_hook(
                partial(self._choose, call, names, at == self.layer), with_kwargs=True
            )
            for at, (layer, names) in enumerate(zip(self._layers, self._names, strict=True))
            if at >= self.layer
        ]
        watching: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if call.view is not None:
            hooks.append(self._layers[-1].register_forward_hook(partial(_spread, call)))
            watching = self.scorer.watching(self._layers[self.layer - 1])
        try:
            with watching:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _stays(self, prompt: torch.Tensor) -> torch.Tensor:
        return self.read(prompt).token_mask

    def _choose(
        self,
        call: Call,
        names: Sequence[str],
        first: bool,
        module: torch.nn.Module,
        positional: tuple[Any, ...],
        keywords: Mapping[str, Any],
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Choose the arguments that a layer is called with in place of its own."""
        arguments = dict(zip(names, positional, strict=False)) | dict(keywords)
        hidden = arguments.pop(names[0])
        if not isinstance(hidden, torch.Tensor) or hidden.dim() != 3:
            raise InferenceError("model: found layers that do not take hidden states of each token")
        prompt = call.view is not None
        if first and call.view is not None:
            ids, read = call.view
            if call.token_mask is None:
                scores = self.scorer.score(View(ids, read, hidden))
                call.token_mask = self.keep.mask(scores, read)
            call.columns = _columns(call.token_mask, read)
            hidden = _pick(hidden, call.columns)
        columns = call.columns
        if columns is None:
            raise InferenceError("model: found layers that do not run in their order")
        for name, value in arguments.items():
            if value is None:
                continue
            if name == "attention_mask":
                arguments[name] = self._mask(call, value, columns)
            elif name in _TOKEN_ARGUMENTS:
                arguments[name] = _pick_all(name, value, columns) if prompt else value
            elif prompt and isinstance(value, torch.Tensor) and value.dim() > 1:
                raise InferenceError(
                    f"model: found layers that take {name}, allowed are hidden states, masks and "
                    "positions"
                )
        return (hidden,), arguments

    def _mask(self, call: Call, mask: Any, columns: torch.Tensor) -> torch.Tensor:
        """An attention mask at the rows and columns that stay; made once for all layers."""
        if not isinstance(mask, torch.Tensor) or mask.dim() != 4:
            raise InferenceError(
                "model: found an attention mask that is no tensor of four dimensions; allowed are "
                "the attention implementations sdpa and eager"
            )
        if id(mask) not in call.masks:
            rows, length = len(columns), call.length
            after = torch.arange(length, mask.shape[-1], device=columns.device)
            all_columns = torch.cat([columns, after.expand(rows, -1)], dim=1)
            cut = mask.expand(rows, -1, -1, -1)
            if call.view is not None:
                at = columns[:, None, :, None]
                cut = cut.gather(2, at.expand(-1, cut.shape[1], -1, cut.shape[3]))
            at = all_columns[:, None, None, :]
            cut = cut.gather(3, at.expand(-1, cut.shape[1], cut.shape[2], -1))
            # The mask is kept as well: another one could come to have its id.
            call.masks[id(mask)] = mask, cut
        return call.masks[id(mask)][1]

    def _check(self, cache: Any, call: Call) -> None:
        """Refuse models that keep something else than keys and values of what each layer read."""
        if call.columns is None:
            raise InferenceError(
                f"model: layer {self.layer + 1} never ran, allowed are all in turn"
            )
        shorter = call.columns.shape[1]
        expected = [call.length if at < self.layer else shorter for at in range(len(self._layers))]
        lengths = [
            keys.shape[-2] if isinstance(keys := getattr(each, "keys", None), torch.Tensor) else 0
            for each in cache.layers
        ]
        if lengths != expected:
            raise InferenceError(
                "model: found layers that do not each keep keys and values of the tokens they "
                "read, allowed are models with attention in every layer"
            )


def layers_of(model: Any) -> list[torch.nn.Module]:
    """The decoder's layers, in the order in which they run.

    Raises
    ------
    InferenceError
        The model has no list of layers between which hidden states could be read.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    count = getattr(getattr(base, "config", None), "num_hidden_layers", None)
    lists = [
        part
        for part in base.modules()
        if isinstance(part, torch.nn.ModuleList) and len(part) == count
    ]
    if len(lists) != 1:
        raise InferenceError(
            f"model: found {type(base).__name__} with {len(lists)} lists of {count} layers, "
            "allowed is one list, whose hidden states can be read"
        )
    return list(lists[0])


def check_layer(layer: int, layers: Sequence[torch.nn.Module]) -> None:
    """Raise InferenceError where tokens cannot be left out after that layer, from 1."""
    if not 1 <= layer < len(layers):
        raise InferenceError(
            f"layer: found {layer}, allowed are 1 to {len(layers) - 1} of {len(layers)}"
        )


def _spread(call: Call, module: torch.nn.Module, inputs: Any, output: Any) -> Any:
    """Put what leaves the last layer back in its places: some models count on the length."""
    hidden = output[0] if isinstance(output, tuple) else output
    if call.columns is None or not isinstance(hidden, torch.Tensor):
        return output
    everywhere = hidden.new_zeros(len(hidden), call.length, hidden.shape[-1])
    at = call.columns.unsqueeze(-1).expand_as(hidden)
    everywhere.scatter_(1, at, hidden)
    return (everywhere, *output[1:]) if isinstance(output, tuple) else everywhere


def _columns(token_mask: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
    """Places of what stays, padding before it where a row keeps less than another."""
    most = int(token_mask.sum(dim=1).max())
    missing = most - token_mask.sum(dim=1, keepdim=True)
    # The rightmost padding of a row; a row that keeps less is shorter by as much or more.
    padding = ~read & ((~read).flip(1).cumsum(dim=1).flip(1) <= missing)
    return (token_mask | padding).nonzero()[:, 1].view(len(token_mask), most)


def _pick(values: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Values (rows or 1, length, ...) at each row's columns."""
    values = values.expand(len(columns), *values.shape[1:])
    at = columns.view(*columns.shape, *(1,) * (values.dim() - 2))
    return values.gather(1, at.expand(-1, -1, *values.shape[2:]))


def _pick_all(name: str, value: Any, columns: torch.Tensor) -> Any:
    if isinstance(value, torch.Tensor) and value.dim() >= 2:
        return _pick(value, columns)
    if isinstance(value, (tuple, list)):
        return tuple(_pick_all(name, part, columns) for part in value)
    raise InferenceError(f"model: found {name} of an unknown form, allowed are tensors")
