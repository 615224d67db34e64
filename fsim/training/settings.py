"""The settings of local training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from fsim.core.quantities import MOST_STEPS
from fsim.core.validation import Settings


class TrainingSettings(Settings):
    """The settings of every client's training.

    All clients make ``local_steps``, or each as many as ``local_epochs`` passes over its own
    examples take. ``threads`` and ``cohort_width`` are part of the result's last bits, not of its
    meaning, and so is ``compile``.

    Attributes
    ----------
    optimizer
        Its state begins anew in every round.
    learning_rate, weight_decay
        Of the optimiser.
    max_gradient_norm
        Clips the gradient of a client's whole adapter; None leaves it.
    local_steps, local_epochs
        One of them, the other None.
    batch_size
        Examples of a step.
    threads
        PyTorch's.
    cohort_width
        Clients trained side by side; None chooses by the batch's size
        (:func:`fsim.training.trainer.automatic_width`).
    compile
        Whether the model's layers go through ``torch.compile``: most of a minute once, then steps
        that take about two thirds of the time. Parameters then agree with uncompiled training to
        1e-4 relative instead of 1e-5.
    proximal
        mu of FedProx (Li et al., MLSys 2020, equation 2): what is minimised is the loss plus mu/2
        times the squared distance from the adapter that training began with. 0 leaves it out.
    measure_memory
        Puts into the summary what training and encoding take at most; needs a ``cohort_width`` of 1
        and trains everything, whatever is in the store.
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
    def _steps_or_epochs(self) -> TrainingSettings:
        if (self.local_steps is None) == (self.local_epochs is None):
            raise ValueError(
                f"local_steps, local_epochs: found {self.local_steps} and {self.local_epochs}, "
                "allowed is one of them, the other null"
            )
        return self

    @model_validator(mode="after")
    def _alone_where_memory_is_measured(self) -> TrainingSettings:
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
