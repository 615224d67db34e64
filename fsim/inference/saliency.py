"""Saliency of each token of a prompt, told without a gradient.

Fed-FSTQ (arXiv 2604.25421, steps 1 and 9) calls a token sensitive whose input embedding the loss
has a large gradient at, g(i) = ||dL/de_i||^2, the trace of that token's diagonal Fisher. At
inference there is no loss. What was measured in training (:mod:`fsim.inference.recorder`) is
therefore learned: by :class:`FisherHead` from the hidden states that leave layer n, and, more
simply, by :class:`FisherTable` from the token's id and its place. :class:`RandomScorer` and
:class:`AttentionScorer` are what these are compared with.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.torch
import torch

from fsim.core.errors import InferenceError
from fsim.core.rng import stream, torch_seed
from fsim.inference.pooling import check_window, pooled
from fsim.inference.pruning import View

PLACES = 16
"""Equal parts of a prompt that a table tells apart."""

PRIOR = 4.0
"""Sightings of a token's id that its own mean needs to weigh as much as the mean of all."""

ATTENTION = "fsim-last-query"
"""The watched attention's name in transformers' registry."""


class _Unwatched:
    """A scorer that needs nothing from inside a layer."""

    def watching(self, layer: torch.nn.Module) -> contextlib.AbstractContextManager[None]:
        """A context of nothing."""
        return contextlib.nullcontext()


class RandomScorer(_Unwatched):
    """Every token as likely as any other; drawn anew, from one stream, for each prompt."""

    def __init__(self, seed: int) -> None:
        self._rng = stream(seed, "inference.random")

    def score(self, view: View) -> torch.Tensor:
        """Numbers in a random order."""
        scores = self._rng.random(tuple(view.ids.shape), dtype=np.float32)
        return torch.from_numpy(scores).to(view.hidden.device)


class AttentionScorer:
    """The attention that a token gets from the prompt's last one in layer n, averaged over heads.

    The class token's attention of EViT (Liang et al., ICLR 2022), the last token being where a
    decoder sums up; ToMe and other methods by attention rank tokens likewise. The layer is read as
    it runs, at the cost of one more row of attention.
    """

    def __init__(self) -> None:
        self._received: torch.Tensor | None = None

    @contextmanager
    def watching(self, layer: torch.nn.Module) -> Iterator[None]:
        """Within this context the layer's attention leaves what the last token looks at.

        Raises
        ------
        InferenceError
            The layer's attention is not one that transformers keeps in its registry.
        """
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.masking_utils import sdpa_mask
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        parts: list[Any] = [
            part
            for part in layer.modules()
            if hasattr(part, "layer_idx") and hasattr(part, "config")
        ]
        usual = parts[0].config._attn_implementation if len(parts) == 1 else None
        if usual not in ALL_ATTENTION_FUNCTIONS:
            raise InferenceError(
                f"attention: found {usual or 'a layer of another build'}, allowed is what "
                "transformers has in its registry, as sdpa"
            )
        AttentionInterface.register(ATTENTION, _watched)
        AttentionMaskInterface.register(ATTENTION, sdpa_mask)
        (part,) = parts
        config = part.config
        part.config = copy.copy(config)
        part.config._attn_implementation_internal = ATTENTION
        part.config.fsim_usual = ALL_ATTENTION_FUNCTIONS[usual]
        part.config.fsim_watcher = self
        try:
            yield
        finally:
            part.config = config

    def receive(self, weights: torch.Tensor) -> None:
        """Take in what a layer's last query attends to, (rows, length)."""
        self._received = weights

    def score(self, view: View) -> torch.Tensor:
        """Its logarithm."""
        received, self._received = self._received, None
        if received is None:
            raise InferenceError(
                "attention: the layer never called it, allowed is a layer that does"
            )
        return received.clamp(min=1e-30).log()


def _watched(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> Any:
    """The layer's own attention, and the last query's weights beside it."""
    rows, heads, _, width = query.shape
    scale = width**-0.5 if scaling is None else scaling
    # Query heads that share keys lie side by side.
    last = query[:, :, -1].view(rows, key.shape[1], heads // key.shape[1], width)
    products = (torch.einsum("rhgw,rhkw->rhgk", last, key) * scale).flatten(1, 2).float()
    if attention_mask is not None:
        mask = attention_mask[:, :, -1]
        if mask.dtype == torch.bool:
            products = products.masked_fill(~mask, -math.inf)
        else:
            products = products + mask
    module.config.fsim_watcher.receive(products.softmax(dim=-1).mean(dim=1))
    return module.config.fsim_usual(
        module, query, key, value, attention_mask, scaling=scaling, **options
    )


@dataclass(frozen=True)
class Sample:
    """Measurements of one prompt in training.

    Attributes
    ----------
    ids
        Token ids, (length,).
    fisher
        g, each token's squared gradient norm at its input embedding, (length,), 0 or more.
    hidden
        What left layer n, (length, width).
    """

    ids: torch.Tensor
    fisher: torch.Tensor
    hidden: torch.Tensor


def shares(fisher: torch.Tensor, window: int = 1) -> torch.Tensor:
    """Gradient norms as shares of their sum, (length,): what a prompt's loss scales does not show.

    Norms, not their squares, of which a few tokens would be all; means over a window of tokens.
    """
    norms = fisher.float().sqrt()[None]
    norms = pooled(norms, torch.ones_like(norms, dtype=torch.bool), window)[0]
    return norms / norms.sum().clamp(min=1e-30)


class FisherTable(_Unwatched):
    """The mean log-share that training measured of a token's id, plus that of its place.

    Places are :data:`PLACES` equal parts of a prompt. Ids seen seldom are drawn to the mean, and
    those never seen have it.

    Parameters
    ----------
    ids, places
        Additive parts of the score: by id, (vocabulary,), and by place, (:data:`PLACES`,).
    """

    def __init__(self, ids: torch.Tensor, places: torch.Tensor) -> None:
        self._ids, self._places = ids, places

    @classmethod
    def fit(cls, samples: Sequence[Sample], vocabulary: int) -> FisherTable:
        """Means over what was measured.

        Raises
        ------
        InferenceError
            Nothing was measured.
        """
        _check(samples)
        ids = torch.cat([sample.ids for sample in samples])
        places = torch.cat([_places(len(sample.ids)) for sample in samples])
        # Relative to an even share, so that prompts of different lengths compare.
        values = torch.cat([_log_shares(sample) for sample in samples])
        place = _means(places, values - values.mean(), PLACES)
        own = _means(ids, values - values.mean() - place[places], vocabulary)
        return cls(own, place)

    def score(self, view: View) -> torch.Tensor:
        """The two parts' sum."""
        lengths = view.read.sum(dim=1, keepdim=True)
        at = (view.read.long().cumsum(dim=1) - 1).clamp(min=0)
        places = at * PLACES // lengths
        device = view.ids.device
        return self._ids.to(device)[view.ids] + self._places.to(device)[places]

    def to_bytes(self) -> bytes:
        """Serialised, every bit kept."""
        payload: bytes = safetensors.torch.save({"ids": self._ids, "places": self._places})
        return payload

    @classmethod
    def from_bytes(cls, payload: bytes) -> FisherTable:
        """The inverse of :meth:`to_bytes`."""
        return cls(**safetensors.torch.load(payload))


class FisherHead(_Unwatched):
    """A small head on what leaves layer n, fitted to the shares that training measured.

    The score of token i is ``w . x_i + (A x_i) . (B x_T) / sqrt(rank)``, x being hidden states
    standardised by their mean and deviation, and T the prompt's last token: what a token is worth
    by itself, and what it is worth to this question.

    Parameters
    ----------
    parts
        ``mean``, ``deviation``, ``weight``, (width,); ``keys``, ``query``, (rank, width).
    """

    def __init__(self, parts: dict[str, torch.Tensor]) -> None:
        self._parts = parts

    @classmethod
    def fit(
        cls,
        samples: Sequence[Sample],
        *,
        window: int = 1,
        rank: int = 32,
        epochs: int = 10,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.1,
        seed: int = 0,
    ) -> FisherHead:
        """Minimise the cross-entropy of softmax(scores) against each prompt's shares, by AdamW.

        Parameters
        ----------
        window
            Tokens that shares are means over, an odd number: what
            :class:`~fsim.inference.pooling.Pooled` is to keep.
            Hidden states tell a neighbourhood better than which of its tokens got the gradient.

        Raises
        ------
        InferenceError
            Nothing was measured, or a window without a middle.
        """
        _check(samples)
        check_window(window)
        lines = torch.cat([sample.hidden.float() for sample in samples])
        mean, deviation = lines.mean(dim=0), lines.std(dim=0).clamp(min=1e-6)
        inputs = [(sample.hidden.float() - mean) / deviation for sample in samples]
        targets = [shares(sample.fisher, window) for sample in samples]
        width = lines.shape[1]
        generator = torch.Generator().manual_seed(torch_seed(seed, "inference.head"))
        parts = {
            "weight": torch.zeros(width),
            "keys": torch.randn(rank, width, generator=generator) / math.sqrt(width),
            "query": torch.randn(rank, width, generator=generator) / math.sqrt(width),
        }
        for part in parts.values():
            part.requires_grad_()
        optimizer = torch.optim.AdamW(parts.values(), lr=learning_rate, weight_decay=weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, learning_rate, total_steps=epochs * len(samples)
        )
        for _ in range(epochs):
            for at in torch.randperm(len(samples), generator=generator).tolist():
                scores = _scores(parts, inputs[at][None])[0]
                loss = -(targets[at] * scores.log_softmax(dim=0)).sum()
                optimizer.zero_grad()
                torch.autograd.backward([loss])
                optimizer.step()
                schedule.step()
        fitted = {name: part.detach() for name, part in parts.items()}
        return cls({"mean": mean, "deviation": deviation, **fitted})

    def score(self, view: View) -> torch.Tensor:
        """The head's output."""
        return self.of(view.hidden)

    def of(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of hidden states (rows, length, width), the last token of each row the last."""
        parts = {name: part.to(hidden.device) for name, part in self._parts.items()}
        return _scores(parts, (hidden.float() - parts["mean"]) / parts["deviation"])

    def loss(self, sample: Sample) -> float:
        """Cross-entropy of a prompt's shares under softmax(scores), nats."""
        scores = self.of(sample.hidden[None])[0]
        return float(-(shares(sample.fisher) * scores.log_softmax(dim=0)).sum())

    def to_bytes(self) -> bytes:
        """Serialised, every bit kept."""
        payload: bytes = safetensors.torch.save(self._parts)
        return payload

    @classmethod
    def from_bytes(cls, payload: bytes) -> FisherHead:
        """The inverse of :meth:`to_bytes`."""
        return cls(safetensors.torch.load(payload))


def _scores(parts: dict[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    keys = inputs @ parts["keys"].T
    query = inputs[:, -1] @ parts["query"].T
    products = (keys @ query.unsqueeze(-1)).squeeze(-1) / math.sqrt(len(parts["keys"]))
    return inputs @ parts["weight"] + products


def _check(samples: Sequence[Sample]) -> None:
    if not samples:
        raise InferenceError(
            "saliency: found no prompts that were measured, allowed is one or more"
        )


def _places(length: int) -> torch.Tensor:
    return torch.arange(length) * PLACES // length


def _log_shares(sample: Sample) -> torch.Tensor:
    """Logarithms of shares over an even share, those of nothing taken for a thousandth of one."""
    return (shares(sample.fisher) * len(sample.ids)).clamp(min=1e-3).log()


def _means(keys: torch.Tensor, values: torch.Tensor, size: int) -> torch.Tensor:
    """Mean of the values of each key, shrunk towards 0 where there are few."""
    sums = torch.zeros(size).index_add_(0, keys, values)
    return sums / (torch.bincount(keys, minlength=size) + PRIOR)
