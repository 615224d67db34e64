"""``flasc``: sparse communication of a LoRA that is trained densely.

Kuo et al., "Federated LoRA with Sparse Communication", arXiv 2406.05233, algorithm 1: a client
downloads the largest entries of the global adapter, trains every entry, and uploads the largest
entries of its delta; the server adds the mean of the sparse deltas to its dense adapter.

Up, this is ``topk`` under another share, without residual: values and positions travel the
same way. What tells the method from ``topk`` is the download, which is not modelled here: it
happens only in a scenario whose downlink policy is ``flasc`` too, with the density of the download.
Then the client starts from the sparse adapter, its delta is against that, and the server keeps the
dense one, as in the paper. Choices: the mask is over all matrices together, and values are float16
(the paper counts parameters, not bits).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fsim.compression.coding.vectors import finite_vector, share_of
from fsim.compression.policies.topk import decode_largest, encode_largest
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.size_option import SizeOption
from fsim.core.types import Layout, Update


@dataclass(frozen=True)
class Flasc(Policy):
    """The largest coordinates of a delta, or of the global adapter where it is the downlink's.

    Attributes
    ----------
    density
        Share of the coordinates that is sent, in (0, 1]. The paper compares several; which is the
        default is a choice of this project.
    """

    name: ClassVar[str] = "flasc"
    size_option: ClassVar[SizeOption | None] = SizeOption(("density",), 1e-3, 1.0)

    density: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.density <= 1:
            raise ValueError(f"density: found {self.density}, allowed is above 0 and at most 1")

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        return encode_largest(self.name, layout, vector, share_of(self.density, layout.size))

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        return decode_largest(self.name, payload, layout)
