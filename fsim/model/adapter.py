"""The LoRA adapter of a base model: made by peft, held in slots, saved as peft saves it."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from fsim.core.errors import ScenarioError
from fsim.core.types import Layout, MergingSettings, Update
from fsim.data.encoding import Batch
from fsim.model.cross_entropy import frozen_cross_entropy
from fsim.model.last_layer import LastLayer
from fsim.model.loading import BaseModel
from fsim.model.lora import LoraSettings
from fsim.model.merging import TokenMerging
from fsim.model.packing import Packing, use_packed_attention
from fsim.model.precision import keep_activations_wide
from fsim.model.slots import Slots, SlottedLinear

PREFIX = "base_model.model."
"""What peft puts before a module's own path in a saved adapter."""

WEIGHTS = "adapter_model.safetensors"
"""peft's file name for a saved adapter's values."""

CONFIG = "adapter_config.json"
"""peft's file name for a saved adapter's configuration."""


def with_peft(model: Any, config: Any, seed: int) -> Any:
    """A model wrapped by peft, the initial values of what is added drawn from a seed."""
    from peft import get_peft_model

    # peft draws from PyTorch's global generator; nobody else's draws may move by that.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft asks transformers for an attribute that transformers is renaming.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        torch.manual_seed(seed)
        return get_peft_model(model, config)


class AdaptedModel:
    """A base model whose adapted layers take the adapters of many clients at once.

    peft chooses the layers, makes the initial adapter and names its matrices; then its layers give
    way to :class:`~fsim.model.slots.SlottedLinear`.

    Parameters
    ----------
    base
        Left frozen; its adapted layers are replaced in place.
    lora
        Settings.
    seed
        Of peft's random initialisation of the A matrices.

    Raises
    ------
    ScenarioError
        The model has no layer of the names asked for, or one that peft cannot adapt.
    """

    def __init__(self, base: BaseModel, lora: LoraSettings, seed: int) -> None:
        from peft import LoraConfig
        from peft.tuners.lora import LoraLayer

        targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
        self.config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=0.0,
            bias="none",
            target_modules=targets,
            task_type="CAUSAL_LM",
        )
        try:
            wrapped = with_peft(base.model, self.config, seed)
        except ValueError as error:
            first = str(error).splitlines()[0]
            raise ScenarioError(f"model.lora.targets: {first}") from None
        self.model: Any = wrapped.get_base_model()
        self.tokenizer = base.tokenizer
        embeddings = self.model.get_input_embeddings()
        self.device: torch.device = embeddings.weight.device
        if self.device.type == "cpu" and embeddings.weight.dtype == torch.bfloat16:
            keep_activations_wide(self.model)
        adapted = [
            (name, module)
            for name, module in self.model.named_modules()
            if isinstance(module, LoraLayer)
        ]
        self._layers: dict[str, SlottedLinear] = {}
        initial: Update = {}
        for name, layer in adapted:
            if not hasattr(layer, "lora_A") or "default" not in layer.lora_A:
                raise ScenarioError(f"model.lora.targets: {name} is not a linear layer")
            for matrix in ("lora_A", "lora_B"):
                weight = getattr(layer, matrix)["default"].weight
                key = f"{PREFIX}{name}.{matrix}.weight"
                initial[key] = weight.detach().float().cpu().numpy().copy()
            slotted = SlottedLinear(layer.get_base_layer(), layer.scaling["default"])
            # With a base in bfloat16, peft's rounding in float32 is nothing to keep to.
            slotted.exact = embeddings.weight.dtype == torch.float32
            parent, _, last = name.rpartition(".")
            setattr(self.model.get_submodule(parent), last, slotted)
            self._layers[name] = slotted
        self.initial = initial
        self.layout = Layout.of(initial)
        self._single = self.slots(1, trainable=False)
        self._hook = self.model.get_output_embeddings().register_forward_pre_hook(self._gather)
        self._scored: torch.Tensor | None = None
        self._compiled: dict[bool, Callable[..., Any]] = {}
        self.write(initial)
        self._plain_head = self._has_plain_head()
        self._last_layer = LastLayer(self.model.base_model)
        self.packs = self._plain_head and use_packed_attention(self.model) and self._is_packable()

    @cached_property
    def frozen_digest(self) -> str:
        """SHA-256 of the frozen model: its configuration, and its weights with names and types."""
        settings = self.model.config.to_dict()
        settings.pop("_name_or_path", None)  # the same model lies elsewhere on another machine
        text = json.dumps(settings, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode("utf-8"))
        for name, tensor in self.model.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def slots(self, count: int, *, trainable: bool) -> Slots:
        """Room for the adapters of ``count`` clients."""
        return Slots(self.layout, count, trainable=trainable, device=self.device)

    def use(self, slots: Slots) -> None:
        """Let the adapted layers read these slots from now on."""
        for name, layer in self._layers.items():
            layer.slot_a = slots.matrices[f"{PREFIX}{name}.lora_A.weight"]
            layer.slot_b = slots.matrices[f"{PREFIX}{name}.lora_B.weight"]

    def write(self, adapter: Update) -> None:
        """Put one adapter on the model, for evaluation and generation."""
        self._single.load([self.layout.flatten(adapter)])
        self.use(self._single)

    def save(self, adapter: Update, folder: Path) -> None:
        """Write an adapter as peft does: it loads with ``PeftModel.from_pretrained``.

        The same adapter gives the same bytes in every process. OSError if it cannot be written.
        """
        from safetensors.numpy import save

        folder.mkdir(parents=True, exist_ok=True)
        # Written here and not by safetensors, whose own error for a full disk is no OSError.
        (folder / WEIGHTS).write_bytes(save(dict(adapter)))
        # As peft's own save_pretrained, which writes sets in an order of this process alone.
        config = {
            key: sorted(value) if isinstance(value, set) else value
            for key, value in self.config.to_dict().items()
        }
        (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), "utf-8")

    def load(self, folder: Path) -> Update:
        """Read an adapter that peft saved.

        Raises
        ------
        ScenarioError
            There is none, or its matrices are not this model's.
        """
        from safetensors.numpy import load_file

        try:
            adapter = {name: a.astype("float32") for name, a in load_file(folder / WEIGHTS).items()}
        except (OSError, ValueError) as error:
            raise ScenarioError(f"{folder}: no adapter of peft's: {error}") from None
        if Layout.of(adapter) != self.layout:
            raise ScenarioError(f"{folder}: the adapter's matrices are not those of this model")
        return adapter

    def merging(self, settings: MergingSettings) -> TokenMerging | None:
        """Merging of this model's tokens; None if by these settings all stay.

        Raises
        ------
        ScenarioError
            See :class:`~fsim.model.merging.TokenMerging`.
        """
        self.write(self.initial)
        merging = TokenMerging(self.model.base_model, settings)
        return None if settings.keep == 1 else merging

    def logits(
        self,
        batch: Batch,
        inputs: torch.Tensor | None = None,
        merging: TokenMerging | None = None,
    ) -> torch.Tensor:
        """Logits at a batch's scored positions, (rows, scored columns, vocabulary).

        Rows are padded on the right and attention is causal, so that no mask is needed: a scored
        position never sees what comes after it.

        Parameters
        ----------
        batch
            Its rows in slot order.
        inputs
            Input embeddings to use in place of the batch's ids, (rows, length, width).
        merging
            How tokens merge on the way.
        """
        self._scored = batch.at if merging is None else merging.after(batch).at
        try:
            with nullcontext() if merging is None else merging.on(batch):
                output = self.model(**_inputs(batch, inputs), use_cache=False)
        finally:
            self._scored = None
        result: torch.Tensor = output.logits
        return result

    def loss(
        self,
        batch: Batch,
        counts: torch.Tensor,
        slots: int,
        inputs: torch.Tensor | None = None,
        merging: TokenMerging | None = None,
    ) -> torch.Tensor:
        """Each slot's sum of its targets' negative log-likelihoods, nats, (slots,).

        Parameters
        ----------
        batch, inputs, merging
            As for :meth:`logits`.
        counts
            What each target's counts for, (rows, scored columns).
        slots
            How many clients the rows belong to, in equal parts.
        """
        if not self._plain_head:
            each = torch.nn.functional.cross_entropy(
                self.logits(batch, inputs, merging).float().flatten(0, 1),
                batch.targets.clamp(min=0).flatten(),
                reduction="none",
            )
            return (each * counts.flatten()).view(slots, -1).sum(1)
        rows, columns = (counts != 0).nonzero(as_tuple=True)
        end = batch if merging is None else merging.after(batch)
        places = rows * end.ids.shape[1] + end.at[rows, columns]
        if self.packs and slots == 1 and merging is None:
            packing = Packing.of(batch)
            places = packing.line_up(batch, places)
            scored_columns, tokens = places.unsqueeze(0), len(packing.places)
            arguments = packing.inputs(batch, inputs)
        else:
            # Slots that share a pass have a shape to keep, whatever their rows are.
            scored_columns, tokens = end.columns_scored(), end.ids.numel()
            arguments = _inputs(batch, inputs)
        on_the_way = nullcontext() if merging is None else merging.on(batch)
        with on_the_way, self._last_layer.only(scored_columns, tokens):
            hidden = self.model.base_model(**arguments, use_cache=False)[0]
        head = self.model.get_output_embeddings()
        owners = rows // (len(batch.ids) // slots)
        losses = frozen_cross_entropy(
            hidden,
            head.weight,
            head.bias,
            places,
            batch.targets[rows, columns],
            counts[rows, columns],
            torch.bincount(owners, minlength=slots).tolist(),
        )
        return losses.new_zeros(slots).index_add(0, owners, losses)

    @torch.no_grad()
    def _is_packable(self) -> bool:
        """True if packed sequences really do not see each other.

        States that are handed on from token to token, as some layers that are not attention keep,
        would carry one sequence into the next.
        """
        ids = torch.arange(8, device=self.device).view(2, 4) % self.model.config.vocab_size
        lengths = torch.tensor([4, 3], device=self.device)
        read = partial(self.model.base_model, use_cache=False)
        ends = []
        for first in (ids[:1], ids[:1].flip(1)):
            batch = Batch(torch.cat([first, ids[1:]]), ids, ids, lengths)
            packing = Packing.of(batch)
            ends.append(read(**packing.inputs(batch, None))[0][0, 4:])
        padded = read(**_inputs(batch, None))[0][1, :3]
        near = torch.allclose(ends[0], padded, rtol=1e-2, atol=1e-2 * float(padded.abs().max()))
        return near and torch.equal(*ends)

    @torch.no_grad()
    def _has_plain_head(self) -> bool:
        """True if logits are the last hidden states times a frozen matrix and nothing else.

        Some models scale or cap their logits; a layer that carries an adapter is not frozen.
        """
        head = self.model.get_output_embeddings()
        if type(head) is not torch.nn.Linear:
            return False
        ids = torch.arange(4, device=self.device).unsqueeze(0) % head.out_features
        logits = self.model(input_ids=ids, use_cache=False).logits
        return torch.equal(logits, head(self.model.base_model(input_ids=ids, use_cache=False)[0]))

    @contextmanager
    def compiled(self, *, varying: bool) -> Iterator[None]:
        """Within this context the model's layers run as ``torch.compile`` makes them.

        Parameters
        ----------
        varying
            Whether lengths differ from pass to pass: made once for all of them, not for each.

        Raises
        ------
        ScenarioError
            There is no C++ compiler that PyTorch could use.
        """
        layers = self.model.base_model
        if varying not in self._compiled:
            self._compiled[varying] = torch.compile(layers.forward, dynamic=varying)
        layers.forward = self._compiled[varying]
        try:
            yield
        except Exception as error:
            # Its own kinds of error, whose module takes a second to import.
            if not type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
                raise
            first = str(error).strip().splitlines()[0]
            raise ScenarioError(f"training.compile: PyTorch cannot compile here: {first}") from None
        finally:
            del layers.forward  # the class's own method again

    def _gather(self, module: torch.nn.Module, arguments: tuple[torch.Tensor]) -> Any:
        """Before the output layer: keep the hidden states of scored positions, drop the others."""
        if self._scored is None:
            return None
        hidden = arguments[0]
        at = self._scored.unsqueeze(-1).expand(-1, -1, hidden.shape[-1])
        return (hidden.gather(1, at),)


def _inputs(batch: Batch, embeddings: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Arguments that the model is called with."""
    source = {"input_ids": batch.ids} if embeddings is None else {"inputs_embeds": embeddings}
    if batch.positions is not None:
        # Without a mask, transformers takes gaps between positions for ends of sequences.
        source |= {"position_ids": batch.positions, "attention_mask": batch.read.long()}
    return source
