"""The settings of a LoRA adapter."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat

from fsim.core.validation import Settings


class LoraSettings(Settings):
    """peft's LoRA configuration.

    Attributes
    ----------
    rank, alpha
        r and lora_alpha.
    targets
        ``"all-linear"`` or names of linear layers.
    """

    rank: Annotated[int, Field(gt=0, le=4096)] = 8
    alpha: PositiveFloat = 16
    targets: str | tuple[str, ...] = "all-linear"
