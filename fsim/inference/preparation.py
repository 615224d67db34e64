"""A model that solves a task on long prompts, and what its training says of their tokens."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fsim.core.errors import InferenceError, ScenarioError
from fsim.core.rng import torch_seed
from fsim.data.encoding import BatchShape, Encoded
from fsim.data.tasks import TaskData
from fsim.inference.adaptation import Adaptation, adapt, merge_adaptation
from fsim.inference.pooling import Pooled, check_window
from fsim.inference.prompts import PassageWriter
from fsim.inference.pruning import check_layer, layers_of
from fsim.inference.recorder import NOT_SCORED, SaliencyRecorder
from fsim.inference.saliency import FisherHead, FisherTable, Sample
from fsim.model.adapter import AdaptedModel
from fsim.model.loading import load_base
from fsim.model.lora import LoraSettings
from fsim.store import Store, key_of
from fsim.training.cohort import PLAIN
from fsim.training.provenance import array_digest, code_version, rows_digest
from fsim.training.settings import TrainingSettings
from fsim.training.trainer import Trainer, TrainingJob

LORA = LoraSettings(rank=8, alpha=16, targets="all-linear")

NO_ADAPTATION = Adaptation()

WINDOW = 61
"""Tokens that saliencies are means over: up to two of these passages (docs/research-log.md)."""


@dataclass(frozen=True)
class Preparation:
    """Settings by which a model learns to solve a task, and its tokens' saliency is learned.

    Attributes
    ----------
    model
        A base model's name.
    adapter
        Folder of an adapter that peft saved, already trained for prompts of this form; None trains
        one.
    layer
        n: how many layers read the whole prompt; None for a sixth of them.
    prompt_tokens
        Length of a prompt.
    steps, batch_size, learning_rate
        Of training: AdamW with a constant rate, LoRA of rank 8 on all linear layers, gradients
        clipped to a norm of 1.
    saliency_prompts
        Training prompts that token sensitivities are recorded of, after training.
    window
        Tokens that the head's targets are means over, an odd number.
    seed
        Of all that is drawn.
    device
        As for :func:`fsim.model.loading.load_base`; weights are float32.
    adaptation
        How the model gets used to shortened prompts once saliency is learned; by default not.
    """

    model: str
    adapter: Path | None = None
    layer: int | None = None
    prompt_tokens: int = 512
    steps: int = 100
    batch_size: int = 4
    learning_rate: float = 1e-3
    saliency_prompts: int = 128
    window: int = WINDOW
    seed: int = 0
    device: str = "cpu"
    adaptation: Adaptation = NO_ADAPTATION

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "steps", "batch_size", "saliency_prompts"):
            value = getattr(self, name)
            if value < 1:
                raise InferenceError(
                    f"{name.replace('_', ' ')}: found {value}, allowed is 1 or more"
                )
        if not self.learning_rate > 0:
            raise InferenceError(f"learning rate: found {self.learning_rate}, allowed is above 0")
        check_window(self.window)


@dataclass(frozen=True)
class Prepared:
    """A model ready to be measured.

    Attributes
    ----------
    model
        The base model with its adapter merged into its weights.
    tokenizer
        Its tokenizer.
    writer
        Of prompts.
    layer
        n.
    layers
        How many there are.
    head, table
        Learned from what was recorded.
    reused
        What was found in the store: ``"adapter"``, ``"saliency"``, ``"adaptation"``.
    """

    model: Any
    tokenizer: Any
    writer: PassageWriter
    layer: int
    layers: int
    head: FisherHead
    table: FisherTable
    reused: tuple[str, ...]


def prepare(
    settings: Preparation,
    data: TaskData,
    store: Store | None,
    say: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """Train an adapter, merge it, record sensitivities, fit head and table.

    Parameters
    ----------
    settings, data
        What to do, and on which examples.
    store
        Where adapter and saliencies are looked up and kept; None makes them anew.
    say
        Told what is going on, a line at a time.

    Raises
    ------
    InferenceError
        A layer that there is not, or a model whose hidden states are out of reach.
    ScenarioError
        A model or an adapter that cannot be loaded, or examples that do not fit.
    """
    base = load_base(settings.model, "float32", settings.device)
    layers = len(layers_of(base.model))
    layer = max(1, layers // 6) if settings.layer is None else settings.layer
    check_layer(layer, layers_of(base.model))
    writer = PassageWriter(base.tokenizer, data.train, settings.prompt_tokens, settings.seed)
    reused = []
    if settings.adapter is not None:
        model = _merged(base.model, settings.adapter)
    else:
        with tempfile.TemporaryDirectory() as folder:
            if _train(settings, writer, store, Path(folder), say):
                reused.append("adapter")
            model = _merged(base.model, Path(folder))
    rows = writer.training(settings.saliency_prompts, full=True)
    key = key_of(
        kind="inference-saliency",
        code=[code_version(), _room_version()],
        model=_weights_digest(model),
        rows=rows_digest([rows]),
        layer=layer,
        window=settings.window,
        threads=torch.get_num_threads(),
    )
    saved = store.get(key) if store is not None else None
    vocabulary = model.get_input_embeddings().num_embeddings
    if saved is None:
        head, table = _learn(model, rows, layer, settings.window, vocabulary, say)
        if store is not None:
            store.put(
                key, len(head.to_bytes()).to_bytes(8, "little") + head.to_bytes() + table.to_bytes()
            )
    else:
        size = int.from_bytes(saved[:8], "little")
        head = FisherHead.from_bytes(saved[8 : 8 + size])
        table = FisherTable.from_bytes(saved[8 + size :])
        reused.append("saliency")
    if settings.adaptation.steps and _adapt(settings, model, writer, layer, head, store, say):
        reused.append("adaptation")
    return Prepared(model, base.tokenizer, writer, layer, layers, head, table, tuple(reused))


def record(model: Any, rows: list[Encoded], layer: int) -> list[Sample]:
    """Token sensitivities and hidden states of prompts, given their right answers.

    Parameters
    ----------
    rows
        Prompts and answers.
    """
    device = model.get_input_embeddings().weight.device
    with SaliencyRecorder(model, layer, limit=len(rows)) as recorder:
        for row in rows:
            ids = torch.tensor([row.ids], device=device)
            labels = ids.clone()
            labels[:, : -row.scored] = NOT_SCORED
            torch.autograd.backward([model(input_ids=ids, labels=labels).loss])
    return recorder.samples


def _learn(
    model: Any,
    rows: list[Encoded],
    layer: int,
    window: int,
    vocabulary: int,
    say: Callable[[str], None],
) -> tuple[FisherHead, FisherTable]:
    say(f"recording token sensitivities of {len(rows)} training prompts")
    samples = record(model, rows, layer)
    return FisherHead.fit(samples, window=window), FisherTable.fit(samples, vocabulary)


def _adapt(
    settings: Preparation,
    model: Any,
    writer: PassageWriter,
    layer: int,
    head: FisherHead,
    store: Store | None,
    say: Callable[[str], None],
) -> bool:
    """Get a model used to shortened prompts, in place; whether that was in the store."""
    how = settings.adaptation
    # Other prompts than adapter and head were trained by; examples are drawn anew for each.
    used = settings.steps * settings.batch_size + settings.saliency_prompts
    rows = writer.training(used + how.steps * how.batch_size, full=True)[used:]
    key = key_of(
        kind="inference-adaptation",
        code=[code_version(), _room_version()],
        model=_weights_digest(model),
        head=hashlib.sha256(head.to_bytes()).hexdigest(),
        rows=rows_digest([rows]),
        layer=layer,
        window=settings.window,
        how=asdict(how),
        seed=settings.seed,
        threads=torch.get_num_threads(),
    )
    saved = store.get(key) if store is not None else None
    if saved is not None:
        merge_adaptation(model, layer, saved)
        return True
    say(f"getting it used to shortened prompts: {how.steps} steps of {how.batch_size} prompts")
    seed = torch_seed(settings.seed, "inference.adaptation")
    payload = adapt(model, rows, layer, Pooled(head, settings.window), how, seed)
    if store is not None:
        store.put(key, payload)
    return False


def _train(
    settings: Preparation,
    writer: PassageWriter,
    store: Store | None,
    folder: Path,
    say: Callable[[str], None],
) -> bool:
    """Train an adapter and save it as peft does; whether it was in the store."""
    base = load_base(settings.model, "float32", settings.device)
    adapted = AdaptedModel(base, LORA, torch_seed(settings.seed, "learning.adapter"))
    rows = writer.training(settings.steps * settings.batch_size)
    size = settings.batch_size
    trainer = Trainer(
        adapted,
        BatchShape.of(rows, size),
        TrainingSettings(optimizer="adamw", learning_rate=settings.learning_rate),
        PLAIN,
        width=1,
        store=store,
    )
    batches = [rows[at : at + size] for at in range(0, len(rows), size)]
    say(f"training an adapter: {settings.steps} steps of {size} prompts, unless it is stored")
    delta = trainer.result(trainer.submit(TrainingJob(0, 1, adapted.initial, batches))).delta
    adapter = {name: adapted.initial[name] + delta[name] for name in delta}
    adapted.save(adapter, folder)
    trainer.close()
    return trainer.reused > 0


def _merged(model: Any, folder: Path) -> Any:
    """A base model with a saved adapter merged into its weights.

    Raises
    ------
    ScenarioError
        No adapter of peft's for this model.
    """
    from peft import PeftModel

    from fsim.model.gguf import quiet

    try:
        with quiet():
            wrapped: Any = PeftModel.from_pretrained(model, str(folder))
            merged = wrapped.merge_and_unload()
    except Exception as error:  # configurations and weights of all kinds of origin: anything
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ScenarioError(
            f"adapter: {folder}: no adapter of peft's for this model: {first}"
        ) from None
    return merged.requires_grad_(False).eval()


def _weights_digest(model: Any) -> str:
    """SHA-256 of all weights and their names."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + array_digest(tensor.cpu().numpy()).encode())
    return digest.hexdigest()


@functools.cache
def _room_version() -> str:
    """SHA-256 of what saliencies are recorded and learned by, and models adapted."""
    digest = hashlib.sha256()
    for name in ("recorder.py", "saliency.py", "pooling.py", "adaptation.py"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()
