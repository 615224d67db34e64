"""Task, model and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    PositiveFloat,
    field_validator,
)
from typing_extensions import override

from fsim.core.errors import ScenarioError, shown
from fsim.core.quantities import Count
from fsim.core.validation import Settings
from fsim.data.tasks import TASKS, Task, make_task
from fsim.model.loading import DType, model_folder
from fsim.model.lora import LoraSettings
from fsim.settings.base import SectionWithOptions
from fsim.settings.effects import Effect


class PartitionSettings(Settings):
    """The division of training examples (:mod:`fsim.data.partition`).

    ``alpha`` is the concentration of ``dirichlet`` and ``quantity``.
    """

    kind: Literal["dirichlet", "iid", "quantity", "one-label", "natural"] = "dirichlet"
    alpha: PositiveFloat = 0.1
    minimum: Count = 8


class TaskSettings(SectionWithOptions):
    """The task, its options beside its name.

    Prompts are shortened to ``max_prompt_tokens``.
    """

    registry: ClassVar[Mapping[str, type]] = TASKS

    name: str = "medical"
    partition: PartitionSettings = PartitionSettings()
    max_prompt_tokens: Annotated[int, Field(gt=0, le=100_000)] = 64

    @classmethod
    @override
    def make_named(cls, name: str, options: Mapping[str, Any]) -> Task:
        return make_task(name, options)

    def make(self) -> Task:
        """The task itself."""
        return make_task(self.name, self.options)


class ModelSettings(Settings):
    """The base model (a registered one, a local folder, or a hub's name) and its adapter."""

    name: str = "nano"
    dtype: DType = "auto"
    device: str = "auto"
    lora: LoraSettings = LoraSettings()

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


class EvaluationSettings(Settings):
    """The global adapter is evaluated before the first and after every ``every``-th round.

    ``metric`` is the task's usual one if not given.
    """

    metric: str | None = None
    every: Count = 1
    examples: Annotated[Count, Effect.TASK, Effect.REPORT] = 300
