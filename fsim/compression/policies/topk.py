"""``topk``: only the coordinates of largest magnitude.

Aji and Heafield, "Sparse Communication for Distributed Gradient Descent", EMNLP 2017, over all
matrices together. Their accumulation of what was left out ("gradient dropping" keeps the dropped
part as a residual) is ``error_feedback``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fsim.compression.coding.positions import decode_positions, encode_positions
from fsim.compression.coding.vectors import finite_array, finite_vector, largest, narrow, share_of
from fsim.compression.coding.wire import Section, pack, unpack
from fsim.compression.feedback import encode_with_feedback
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.size_option import SizeOption
from fsim.core.types import FloatArray, Layout, Update


@dataclass(frozen=True)
class TopK(Policy):
    """The largest coordinates as float16, and their positions.

    Attributes
    ----------
    ratio
        Share of the coordinates that is sent, in (0, 1].
    error_feedback
        Whether what is not sent, the rounding to float16 included, is added to the client's next
        update. Off by default: a client that is rarely chosen adds a residual of long ago.
    """

    name: ClassVar[str] = "topk"
    size_option: ClassVar[SizeOption | None] = SizeOption(("ratio",), 1e-3, 1.0)

    ratio: float = 0.1
    error_feedback: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio: found {self.ratio}, allowed is above 0 and at most 1")

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        count = share_of(self.ratio, layout.size)
        if not self.error_feedback:
            return encode_largest(self.name, layout, vector, count)
        return encode_with_feedback(
            self,
            layout,
            vector,
            context,
            lambda corrected: encode_largest(self.name, layout, corrected, count),
        )

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        return decode_largest(self.name, payload, layout)


def encode_largest(policy: str, layout: Layout, vector: FloatArray, count: int) -> bytes:
    """A payload of the ``count`` largest coordinates as float16.

    Raises
    ------
    ValueError
        One of them is too large for float16.
    """
    mask = largest(vector, count)
    values = narrow(policy, vector[mask], "<f2")
    return pack(policy, layout, {Section.POSITIONS: encode_positions(mask), Section.VALUES: values})


def decode_largest(policy: str, payload: bytes, layout: Layout) -> Update:
    """The inverse of :func:`encode_largest`; zero is what was not sent.

    Raises
    ------
    PayloadError
        The bytes are not such a payload.
    """
    sections = unpack(payload, policy, layout)
    mask = decode_positions(sections.get(Section.POSITIONS, b""), layout.size)
    vector = np.zeros(layout.size, dtype=np.float32)
    vector[mask] = finite_array(sections, Section.VALUES, "<f2", int(mask.sum()))
    return layout.unflatten(vector)
