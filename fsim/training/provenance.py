"""Provenance of a result of learning, as digests: the key that it is stored under."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fsim.core.types import TrainingRequest
from fsim.data.encoding import BatchShape, Encoded
from fsim.model.adapter import AdaptedModel
from fsim.training.settings import TrainingSettings

ROOMS = ("data", "evaluation", "model", "training")
"""Whose modules a result of learning comes from."""

PACKAGES = ("torch", "transformers", "peft", "numpy")


@functools.cache
def code_version() -> str:
    """SHA-256 of the source that learning rests on, and of the versions of its packages."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    paths = [path for room in ROOMS for path in (package / room).rglob("*.py")]
    for path in sorted([*paths, package / "core" / "types.py"]):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    for name in PACKAGES:
        digest.update(f"{name} {version(name)}".encode())
    return digest.hexdigest()


def origin(adapted: AdaptedModel) -> dict[str, Any]:
    """Origin of every result of a model: code, frozen model, LoRA, kind of device, threads."""
    return {
        "code": code_version(),
        "model": adapted.frozen_digest,
        # What of LoRA's configuration is not in the adapter's own values.
        "lora": {"layout": adapted.layout.digest, "alpha": adapted.config.lora_alpha},
        "device": adapted.device.type,
        "threads": torch.get_num_threads(),
    }


def training_origin(
    adapted: AdaptedModel,
    shape: BatchShape,
    settings: TrainingSettings,
    request: TrainingRequest,
    width: int,
) -> dict[str, Any]:
    """The origin of every training of a cohort, beside the jobs themselves."""
    return {
        "kind": "training",
        **origin(adapted),
        "shape": dataclasses.astuple(shape),
        "width": width,
        "settings": settings.model_dump(mode="json"),
        "request": dataclasses.asdict(request),
    }


def array_digest(array: npt.NDArray[Any]) -> str:
    """SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def rows_digest(batches: Iterable[Sequence[Encoded]]) -> str:
    """SHA-256 of token rows, batch by batch."""
    digest = hashlib.sha256()
    for batch in batches:
        for row in batch:
            digest.update(np.array([row.scored, len(row.ids), *row.ids], dtype="<i8").tobytes())
        digest.update(b"|")
    return digest.hexdigest()
