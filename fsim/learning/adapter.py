"""The LoRA adapter of a base model: made by peft, read and written as plain arrays."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fsim.errors import ScenarioError
from fsim.learning.models import BaseModel
from fsim.vocabulary import Layout, Update


@dataclass(frozen=True)
class LoraSettings:
    """peft's LoRA configuration, as far as scenarios set it.

    Attributes
    ----------
    rank, alpha
        r and lora_alpha.
    targets
        ``"all-linear"`` or names of linear layers.
    """

    rank: int
    alpha: float
    targets: str | tuple[str, ...]


class AdaptedModel:
    """A base model with one LoRA adapter on it.

    Parameters
    ----------
    base
        Left frozen; its linear layers are wrapped in place.
    lora
        Settings.
    seed
        Of peft's random initialisation of the A matrices.

    Raises
    ------
    ScenarioError
        The model has no layer of the names asked for.
    """

    def __init__(self, base: BaseModel, lora: LoraSettings, seed: int) -> None:
        from peft import LoraConfig, get_peft_model

        targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=0.0,
            bias="none",
            target_modules=targets,
            task_type="CAUSAL_LM",
        )
        # peft draws from PyTorch's global generator; nobody else's draws may move by that.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # peft asks transformers for an attribute that transformers is renaming.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
            torch.manual_seed(seed)
            try:
                self.model: Any = get_peft_model(base.model, config)
            except ValueError as error:
                raise ScenarioError(f"model.lora.targets: {error}") from None
        self.tokenizer = base.tokenizer
        self.parameters: dict[str, torch.nn.Parameter] = {
            name.replace(".default.", "."): parameter
            for name, parameter in sorted(self.model.named_parameters())
            if parameter.requires_grad
        }
        self.initial = self.read()
        self.layout = Layout.of(self.initial)

    def read(self) -> Update:
        """The adapter as it is now: float32 arrays under peft's own state-dict names."""
        return {name: p.detach().numpy().copy() for name, p in self.parameters.items()}

    @torch.no_grad()
    def write(self, adapter: Update) -> None:
        """Put an adapter's values into the model."""
        for name, parameter in self.parameters.items():
            parameter.copy_(torch.from_numpy(adapter[name]))

    def save(self, adapter: Update, folder: Path) -> None:
        """Write an adapter as peft does: it loads with ``PeftModel.from_pretrained``."""
        self.write(adapter)
        self.model.save_pretrained(folder)

    def logits(self, batch: Any, inputs: torch.Tensor | None = None) -> torch.Tensor:
        """Logits at a batch's scored columns, (rows, scored columns, vocabulary).

        Parameters
        ----------
        batch
            A :class:`~fsim.learning.encoding.Batch`.
        inputs
            Input embeddings to use in place of the batch's ids, (rows, length, width).
        """
        source = {"input_ids": batch.ids} if inputs is None else {"inputs_embeds": inputs}
        full = bool(batch.mask.all())
        output = self.model(
            **source,
            attention_mask=None if full else batch.mask,
            position_ids=batch.positions,
            use_cache=False,
            logits_to_keep=batch.targets.shape[1],
        )
        result: torch.Tensor = output.logits
        return result
