"""A bare peft loop: one client after the other, as the libraries' own examples train."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.rivals import Losses, Workload, mean
from fsim.core.types import FloatArray, Layout
from fsim.data.encoding import NOT_SCORED, Encoded


def padded(rows: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, attention mask and labels, (rows, the longest's length), padded on the right."""
    length = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, NOT_SCORED)
    for at, row in enumerate(rows):
        end = len(row.ids)
        ids[at, :end] = torch.tensor(row.ids)
        mask[at, :end] = 1
        labels[at, end - row.scored : end] = torch.tensor(row.ids[-row.scored :])
    return ids, mask, labels


class PeftClient:
    """peft's own model, trained with the loss that it computes itself.

    Parameters
    ----------
    dtype
        Of the frozen base; peft keeps the adapter in float32.

    Attributes
    ----------
    model
        The model that peft wrapped.
    layout
        Of the adapter as a flat vector, the same as this project's.
    """

    def __init__(self, workload: Workload, dtype: str = "float32") -> None:
        from peft import LoraConfig, get_peft_model

        lora, base = workload.lora, workload.base(dtype)
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=0.0,
            bias="none",
            target_modules=lora.targets if isinstance(lora.targets, str) else list(lora.targets),
            task_type="CAUSAL_LM",
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
            torch.manual_seed(workload.adapter_seed)
            self.model: Any = get_peft_model(base.model, config)
        self._workload = workload
        self.trained: dict[str, torch.nn.Parameter] = {
            name.replace(".default.", "."): parameter
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        }
        self.layout = Layout.of({n: p.detach().numpy() for n, p in self.trained.items()})

    def read(self) -> FloatArray:
        """The adapter as a flat vector."""
        return self.layout.flatten({n: p.detach().numpy() for n, p in self.trained.items()})

    @torch.no_grad()
    def load(self, adapter: FloatArray) -> None:
        """Put a flat vector into the model."""
        for name, value in self.layout.unflatten(adapter).items():
            self.trained[name].copy_(torch.from_numpy(value))

    def optimizer(self, rate: float | None = None) -> torch.optim.Optimizer:
        """A new optimiser over the adapter, in PyTorch's default form."""
        settings = self._workload.training
        kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.SGD
        return kind(
            self.trained.values(),
            lr=settings.learning_rate if rate is None else rate,
            weight_decay=settings.weight_decay,
        )

    def train(self, batches: Sequence[Sequence[Encoded]]) -> list[float]:
        """Local training from the adapter that is in the model; the loss of each step."""
        optimizer, limit = self.optimizer(), self._workload.training.max_gradient_norm
        losses = []
        for rows in batches:
            ids, mask, labels = padded(rows)
            optimizer.zero_grad()
            loss = self.model(input_ids=ids, attention_mask=mask, labels=labels).loss
            loss.backward()
            if limit is not None:
                torch.nn.utils.clip_grad_norm_(self.trained.values(), limit)
            optimizer.step()
            losses.append(loss.item())
        return losses


class Bare:
    """Rounds of the bare loop."""

    def __init__(self, workload: Workload, dtype: str = "float32") -> None:
        self._workload = workload
        self._client = PeftClient(workload, dtype)
        self.adapter = self._client.read()

    def load(self, adapter: FloatArray) -> None:
        """Replace the global adapter."""
        self.adapter = adapter

    def round(self, number: int) -> Losses:
        """Train each client in turn, and average."""
        ends, losses = [], []
        for client in self._workload.clients(number):
            self._client.load(self.adapter)
            losses.append(self._client.train(self._workload.batches(client, number)))
            ends.append(self._client.read())
        self.adapter = mean(ends)
        return losses
