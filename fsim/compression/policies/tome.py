"""``tome``: train on merged tokens, send the update by any policy inside.

Merging tokens is from Bolya et al., "Token Merging: Your ViT But Faster", ICLR 2023; a federated
baseline of it, "Fed-ToMe", is named in "Fed-FSTQ", arXiv 2604.25421, which tells no more of it than
that merging is driven by attention. What is merged and when is thus for the options to say; how a
decoder merges tokens is in :mod:`fsim.model.merging`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fsim.compression.coding.vectors import finite_vector
from fsim.compression.coding.wire import pack, unpack
from fsim.compression.policy import EncodingContext
from fsim.compression.wrapper import Wrapper
from fsim.core.types import Layout, MergingSettings, TrainingRequest, Update


@dataclass(frozen=True)
class Tome(Wrapper, MergingSettings):
    """Token merging in training; an adapter has as many coordinates as ever.

    Attributes
    ----------
    inner
        The policy that encodes, as NAME or NAME:OPTION=VALUE:...; not one with another inside.
    keep, after, proportional
        See :class:`fsim.core.types.MergingSettings`. By default half of the prompt's tokens are
        left from the second layer on, which is the most that one merging can do.
    """

    name: ClassVar[str] = "tome"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.5 <= self.keep <= 1:
            raise ValueError(f"keep: found {self.keep}, allowed are 0.5 to 1")
        if self.after < 1:
            raise ValueError(f"after: found {self.after}, allowed is 1 or more")
        sensitivity = self.policy.training_request().sensitivity
        if sensitivity is not None and sensitivity.mask == "inputs":
            raise ValueError(
                "inner: found mask 'inputs', allowed is 'targets': tokens of the prompt merge, "
                "none is left out"
            )

    def training_request(self) -> TrainingRequest:
        """The inside policy's, and merging."""
        names = (field.name for field in dataclasses.fields(MergingSettings))
        merging = MergingSettings(**{name: getattr(self, name) for name in names})
        return dataclasses.replace(super().training_request(), merging=merging)

    def trains(self, name: str, round_number: int) -> bool:
        """As the policy inside."""
        return self.policy.trains(name, round_number)

    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """The inside policy's payload under this one's name: not a byte longer."""
        layout = Layout.of(update)
        finite_vector(self.name, layout, update)
        payload = self.policy.encode(update, context)
        return pack(self.name, layout, unpack(payload, self.policy.name, layout))

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        return self.policy.decode(pack(self.policy.name, layout, sections), layout)
