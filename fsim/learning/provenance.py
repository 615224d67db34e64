"""What a result of learning was produced by, as digests: the key that it is stored under."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fsim.learning.adapter import AdaptedModel
from fsim.learning.encoding import Encoded

PACKAGES = ("torch", "transformers", "peft", "numpy")


@functools.cache
def code_version() -> str:
    """SHA-256 of the learning room's own source and of the versions of the packages it rests on."""
    digest = hashlib.sha256()
    room = Path(__file__).parent
    for path in sorted([*room.rglob("*.py"), room.parent / "vocabulary.py"]):
        digest.update(path.name.encode() + path.read_bytes())
    for package in PACKAGES:
        digest.update(f"{package} {version(package)}".encode())
    return digest.hexdigest()


def origin(adapted: AdaptedModel) -> dict[str, Any]:
    """What every result of a model rests on: code, frozen model, LoRA, kind of device, threads."""
    return {
        "code": code_version(),
        "model": adapted.frozen_digest,
        # What of LoRA's configuration is not in the adapter's own values.
        "lora": {"layout": adapted.layout.digest, "alpha": adapted.config.lora_alpha},
        "device": adapted.device.type,
        "threads": torch.get_num_threads(),
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
