"""Base models: what there is, and loading one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsim.errors import ScenarioError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NANO = Path(__file__).parent / "nano"


@dataclass(frozen=True)
class ModelEntry:
    """A base model as the registry lists it."""

    name: str
    summary: str
    folder: Path


MODELS: dict[str, ModelEntry] = {
    "nano": ModelEntry(
        "nano", "Llama architecture, 1.4 M parameters, ships with the package", NANO
    ),
}


def model_folder(name: str) -> Path:
    """Where a base model's files are: a registered model's, or a local folder's own path.

    Raises
    ------
    ScenarioError
        Neither a registered model nor a folder with a ``config.json``.
    """
    if name in MODELS:
        return MODELS[name].folder
    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise ScenarioError(
            f"model.name: found {name!r}, allowed are {', '.join(MODELS)} or a folder with a "
            "Hugging Face model in it"
        )
    return folder


@dataclass(frozen=True)
class BaseModel:
    """A frozen causal language model and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_base(name: str) -> BaseModel:
    """Load a base model in float32 on the CPU, frozen. Nothing is downloaded."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()

    folder = model_folder(name)
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    )
    model.requires_grad_(False)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.eos_token_id is None:
        raise ScenarioError(f"model.name: the tokenizer of {name!r} has no end-of-sequence token")
    return BaseModel(model, tokenizer)
