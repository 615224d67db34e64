"""What is learned: task, model, local training, evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    field_validator,
    model_validator,
)

from fsim.core.errors import ScenarioError, shown
from fsim.core.quantities import Count
from fsim.data.tasks import TASKS, Task, make_task
from fsim.model.loading import model_folder
from fsim.settings.base import SectionWithOptions, Settings

MOST_STEPS = 100_000
"""Local steps, whose batches are drawn before the first."""


class PartitionSettings(Settings):
    """How training examples are divided (:mod:`fsim.data.partition`).

    ``alpha`` is the concentration of ``dirichlet`` and ``quantity``.
    """

    kind: Literal["dirichlet", "iid", "quantity", "one-label", "natural"] = "dirichlet"
    alpha: PositiveFloat = 0.1
    minimum: Count = 8


class TaskSettings(SectionWithOptions):
    """What is learned, the task's options beside its name.

    Prompts are shortened to ``max_prompt_tokens``.
    """

    registry: ClassVar[Mapping[str, type]] = TASKS

    name: str = "medical"
    partition: PartitionSettings = PartitionSettings()
    max_prompt_tokens: Annotated[int, Field(gt=0, le=100_000)] = 64

    @classmethod
    def make_named(cls, name: str, options: Mapping[str, Any]) -> Task:
        """See :class:`SectionWithOptions`."""
        return make_task(name, options)

    def make(self) -> Task:
        """The task itself."""
        return make_task(self.name, self.options)


class LoraModelSettings(Settings):
    """peft's LoRA configuration."""

    rank: Annotated[int, Field(gt=0, le=4096)] = 8
    alpha: PositiveFloat = 16
    targets: str | tuple[str, ...] = "all-linear"


class ModelSettings(Settings):
    """The base model (a registered one, a local folder, or a hub's name) and its adapter."""

    name: str = "nano"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    lora: LoraModelSettings = LoraModelSettings()

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        try:
            model_folder(name)
        except ScenarioError as error:
            raise ValueError(str(error).removeprefix("model.name: ")) from None
        except OSError as error:  # no name that a folder could have
            raise ValueError(f"found {shown(name)}: {error.strerror}") from None
        return name


class TrainingSettingsModel(Settings):
    """Local training of every client.

    ``threads`` (PyTorch's) and ``cohort_width`` (clients trained side by side; by default chosen by
    the batch's size) are part of the result's last bits, not of its meaning, and so is ``compile``
    (torch.compile: most of a minute once, then faster). ``proximal`` is FedProx's mu.
    ``measure_memory`` puts into the summary what training and encoding take at most; it needs a
    ``cohort_width`` of 1 and trains everything, whatever is in the store.

    All clients make ``local_steps``, or each as many as ``local_epochs`` passes over its own
    examples take.
    """

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 3e-3
    weight_decay: NonNegativeFloat = 0.0
    max_gradient_norm: PositiveFloat | None = 1.0
    local_steps: Annotated[int, Field(gt=0, le=MOST_STEPS)] | None = 8
    local_epochs: Annotated[float, Field(gt=0, le=1000)] | None = None
    batch_size: Annotated[int, Field(gt=0, le=65_536)] = 8
    threads: Annotated[int, Field(gt=0, le=1024)] = 1
    cohort_width: Annotated[int, Field(gt=0, le=4096)] | None = None
    compile: bool = False
    proximal: NonNegativeFloat = 0.0
    measure_memory: bool = False

    @model_validator(mode="before")
    @classmethod
    def _epochs_instead_of_steps(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("local_epochs") is not None:
            return {"local_steps": None, **data}
        return data

    @model_validator(mode="after")
    def _steps_or_epochs(self) -> TrainingSettingsModel:
        if (self.local_steps is None) == (self.local_epochs is None):
            raise ValueError(
                f"local_steps, local_epochs: found {self.local_steps} and {self.local_epochs}, "
                "allowed is one of them, the other null"
            )
        return self

    @model_validator(mode="after")
    def _alone_where_memory_is_measured(self) -> TrainingSettingsModel:
        if self.measure_memory and self.cohort_width != 1:
            raise ValueError(
                f"cohort_width: found {self.cohort_width or 'none given'}, allowed is 1 where "
                "measure_memory is true"
            )
        return self

    def steps(self, examples: int) -> int:
        """Local steps of a client that has so many examples, 1 or more.

        A pass over them is as many whole batches as there are
        (:func:`fsim.data.encoding.draw_batches`); a part of a step is rounded.
        """
        if self.local_epochs is None:
            return self.local_steps or 1
        return max(1, round(self.local_epochs * (examples // min(self.batch_size, examples))))


class EvaluationSettings(Settings):
    """The global adapter is evaluated before the first and after every ``every``-th round.

    ``metric`` is the task's usual one if not given.
    """

    metric: str | None = None
    every: Count = 1
    examples: Count = 300
