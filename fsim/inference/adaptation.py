"""Training a model to answer after shortened prompts as well as after whole ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch

from fsim.core.errors import InferenceError
from fsim.core.rng import stream
from fsim.data.encoding import Encoded
from fsim.inference.prefill import Reader
from fsim.inference.pruning import PromptPruner, Scorer, layers_of
from fsim.inference.token_choice import Keep
from fsim.model.adapter import with_peft

RANK, ALPHA = 8, 16
"""Of the LoRA that is trained, on all linear layers after n."""

MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Adaptation:
    """Training by which a model gets used to shortened prompts.

    Every other prompt is read shortened, to a ratio drawn from ``ratios``; the others are
    read whole, so that neither is unlearned. Only layers after n are trained: what leaves layer n
    stays what it was, and with it the saliency that was learned of it.

    Attributes
    ----------
    steps
        Of AdamW at a constant rate; 0 for none.
    batch_size
        Prompts of a step.
    learning_rate
        Its rate.
    ratios
        Shares of the tokens that stay, each above 0 and up to 1.
    last
        Tokens at a prompt's end that always stay.
    """

    steps: int = 0
    batch_size: int = 4
    learning_rate: float = 5e-4
    ratios: tuple[float, ...] = (0.2, 0.25, 0.3, 0.4)
    last: int = 8

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise InferenceError(f"adapt steps: found {self.steps}, allowed is 0 or more")
        if self.batch_size < 1:
            raise InferenceError(f"adapt batch size: found {self.batch_size}, allowed is 1 or more")
        if not self.ratios:
            raise InferenceError("adapt ratios: found none, allowed is one or more")
        for ratio in self.ratios:
            Keep(ratio=ratio, last=self.last)


def adapt(
    model: Any,
    rows: Sequence[Encoded],
    layer: int,
    scorer: Scorer,
    settings: Adaptation,
    seed: int,
) -> bytes:
    """Train the layers after n, and merge what was trained into the model's weights.

    Parameters
    ----------
    model
        A causal language model of transformers; changed in place.
    rows
        Prompts and answers, ``steps x batch_size`` of them.
    layer
        n.
    scorer
        Chooses the tokens that stay.
    settings
        What to do.
    seed
        Of the LoRA's initial values and the ratios.

    Returns
    -------
    bytes
        What was trained, for :func:`merge_adaptation`.

    Raises
    ------
    InferenceError
        Another number of rows, or a prompt shorter than what must stay.
    """
    size = settings.batch_size
    if len(rows) != settings.steps * size:
        raise InferenceError(f"rows: found {len(rows)}, allowed are {settings.steps} x {size}")
    with _wrapped(model, layer, seed) as wrapped:
        trained = list(_trained(wrapped).values())
        optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.0)
        rng = stream(seed, "inference.adaptation")
        device = wrapped.get_input_embeddings().weight.device
        for step in range(settings.steps):
            optimizer.zero_grad()
            for number in range(step * size, (step + 1) * size):
                row = rows[number]
                ids = torch.tensor([row.ids], device=device)
                reader = Reader(wrapped)
                if number % 2 == 0:
                    keep = Keep(ratio=float(rng.choice(settings.ratios)), last=settings.last)
                    reader = PromptPruner(wrapped, layer, scorer, keep)
                torch.autograd.backward([reader.answer_loss(ids, row.scored) / size])
            torch.nn.utils.clip_grad_norm_(trained, MAX_GRADIENT_NORM)
            optimizer.step()
        named = _trained(wrapped)
        payload: bytes = safetensors.torch.save(
            {name: value.detach().cpu().contiguous() for name, value in named.items()}
        )
    return payload


def merge_adaptation(model: Any, layer: int, payload: bytes) -> None:
    """Merge what :func:`adapt` trained into the same model's weights, in place.

    Raises
    ------
    InferenceError
        It is of another model or layer.
    """
    values = safetensors.torch.load(payload)
    with _wrapped(model, layer, 0) as wrapped:
        named = _trained(wrapped)
        if {name: p.shape for name, p in named.items()} != {n: v.shape for n, v in values.items()}:
            raise InferenceError("adaptation: found one of another model or layer")
        with torch.no_grad():
            for name, value in named.items():
                value.copy_(values[name])


def _trained(wrapped: Any) -> dict[str, torch.nn.Parameter]:
    """Trained parameters of a wrapped model, by name."""
    return {name: each for name, each in wrapped.named_parameters() if each.requires_grad}


@contextmanager
def _wrapped(model: Any, layer: int, seed: int) -> Iterator[Any]:
    """The model with a LoRA on the linear layers after n, merged into its weights at the end."""
    from peft import LoraConfig
    from transformers.pytorch_utils import Conv1D

    later = {part for each in layers_of(model)[layer:] for part in each.modules()}
    names = [
        name
        for name, module in model.named_modules()
        if module in later and isinstance(module, (torch.nn.Linear, Conv1D))
    ]
    config = LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules=names, bias="none", task_type="CAUSAL_LM"
    )
    wrapped = with_peft(model, config, seed)
    yield wrapped
    wrapped.merge_and_unload().requires_grad_(False).eval()
