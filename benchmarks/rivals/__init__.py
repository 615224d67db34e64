"""The work that every side of ``benchmarks/training.py`` does, and what a side is.

A workload is built from a seed, so that each side, in a process of its own, has the same weights,
rows and order of clients without anything being sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fsim.core.rng import stream, torch_seed
from fsim.core.types import FloatArray

if TYPE_CHECKING:
    from fsim.data.encoding import BatchShape, Encoded
    from fsim.model.loading import BaseModel
    from fsim.model.lora import LoraSettings
    from fsim.training.settings import TrainingSettings

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.yaml"

Losses = list[list[float]]
"""A row a client in the order in which they are trained, a value a local step."""


class Side(Protocol):
    """One way of training the clients of a round and averaging what they learned."""

    @property
    def adapter(self) -> FloatArray:
        """The global adapter, flat."""
        ...

    def load(self, adapter: FloatArray) -> None:
        """Replace the global adapter."""
        ...

    def round(self, number: int) -> Losses:
        """Train the round's clients from the global adapter, then put their mean in its place."""
        ...


@dataclass(frozen=True)
class Workload:
    """What is trained.

    Attributes
    ----------
    base
        Makes the frozen base model of a dtype; the same weights each time.
    seed
        Of the adapter's beginning, of who takes part, and of the rows.
    shape
        Of the largest batch.
    shards
        Each client's rows.
    """

    base: Callable[[str], BaseModel]
    lora: LoraSettings
    training: TrainingSettings
    seed: int
    shape: BatchShape
    shards: list[list[Encoded]]
    clients_a_round: int
    steps: int
    batch_size: int

    @property
    def adapter_seed(self) -> int:
        """Seed of peft's random beginning of the A matrices."""
        return torch_seed(self.seed, "learning.adapter")

    def clients(self, number: int) -> list[int]:
        """Who takes part in a round."""
        rng = stream(self.seed, "benchmark.clients", number)
        return rng.choice(len(self.shards), size=self.clients_a_round, replace=False).tolist()

    def batches(self, client: int, number: int) -> list[list[Encoded]]:
        """A client's rows in each local step of a round."""
        from fsim.data.encoding import draw_batches

        rng = stream(self.seed, "benchmark.batches", client, number)
        return draw_batches(self.shards[client], self.steps, self.batch_size, rng)


def mean(adapters: list[FloatArray]) -> FloatArray:
    """The average of the clients' adapters: all weigh the same."""
    average: FloatArray = np.mean(adapters, axis=0, dtype=np.float32)
    return average


def make_workload(settings: str) -> Workload:
    """The workload of a name: ``small``, ``quickstart`` or ``smollm2``."""
    return {"small": _small, "quickstart": _quickstart, "smollm2": _smollm2}[settings]()


def _small() -> Workload:
    from fsim.data.encoding import BatchShape, Encoded
    from fsim.model.lora import LoraSettings
    from fsim.training.settings import TrainingSettings

    clients, rows, tokens, vocabulary = 50, 64, 32, 512
    rng = stream(0, "benchmark.rows")
    # Few ids are frequent, as in any language: there is something to learn.
    frequency = 1 / np.arange(1, vocabulary + 1)
    ids = rng.choice(vocabulary, size=(clients, rows, tokens), p=frequency / frequency.sum())
    shards = [[Encoded(tuple(row), tokens - 1, False) for row in shard] for shard in ids.tolist()]
    return Workload(
        base=_random_llama,
        lora=LoraSettings(rank=4, alpha=8, targets=("q_proj", "v_proj")),
        training=TrainingSettings(optimizer="sgd", learning_rate=0.5, max_gradient_norm=None),
        seed=0,
        shape=BatchShape.of(shards[0], 4),
        shards=shards,
        clients_a_round=20,
        steps=4,
        batch_size=4,
    )


def _random_llama(dtype: str) -> BaseModel:
    """Two layers, 64 wide, random."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from fsim.model.loading import BaseModel, load_base

    config = LlamaConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.1,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.requires_grad_(False)
    # The rows are random ids: nothing is ever tokenised.
    return BaseModel(model.eval().to(getattr(torch, dtype)), load_base("nano").tokenizer)


def _quickstart() -> Workload:
    from fsim.data.encoding import BatchShape, encode_examples
    from fsim.model.loading import load_base
    from fsim.settings.loading import load_scenario
    from fsim.simulation.build import build_partition, load_task

    loaded = load_scenario(QUICKSTART)
    scenario = loaded.scenario
    model, training = scenario.model, scenario.training
    data = load_task(loaded)
    shards, _ = build_partition(scenario, data.train)
    tokenizer = load_base(model.name, device="cpu").tokenizer
    rows = encode_examples(tokenizer, data.train, scenario.task.max_prompt_tokens)
    return Workload(
        base=lambda dtype: load_base(model.name, dtype, "cpu"),
        lora=model.lora,
        training=training,
        seed=scenario.seed,
        shape=BatchShape.of([rows[i] for shard in shards for i in shard], training.batch_size),
        shards=[[rows[i] for i in shard] for shard in shards],
        clients_a_round=scenario.protocol.clients_per_round,
        steps=training.local_steps,
        batch_size=training.batch_size,
    )


def _smollm2() -> Workload:
    from fsim.data.encoding import BatchShape, encode_examples
    from fsim.data.tasks import make_task
    from fsim.model.loading import load_base
    from fsim.model.lora import LoraSettings
    from fsim.training.settings import TrainingSettings

    length, clients, each = 64, 8, 32
    examples = make_task("medical", {}).load(Path).train[: 4 * clients * each]
    tokenizer = load_base("smollm2-135m", "float32", "cpu").tokenizer
    rows = [row for row in encode_examples(tokenizer, examples, 56) if len(row.ids) <= length]
    shards = [rows[client * each : (client + 1) * each] for client in range(clients)]
    return Workload(
        base=lambda dtype: load_base("smollm2-135m", dtype, "cpu"),
        lora=LoraSettings(rank=8, alpha=16, targets="all-linear"),
        training=TrainingSettings(optimizer="adamw", learning_rate=1e-3),
        seed=0,
        shape=BatchShape.of([row for shard in shards for row in shard], 4),
        shards=shards,
        clients_a_round=2,
        steps=2,
        batch_size=4,
    )
