"""``topk``: only the coordinates of largest magnitude.

Aji and Heafield, "Sparse Communication for Distributed Gradient Descent", EMNLP 2017, without
their accumulation of what was left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.positions import decode_positions, encode_positions
from fsim.compression.wire import Section, pack, section_array, unpack
from fsim.vocabulary import Layout, Update


@dataclass(frozen=True)
class TopK(Policy):
    """The largest coordinates as float16, and their positions.

    Attributes
    ----------
    ratio
        Share of the coordinates that is sent, in (0, 1].
    """

    name: ClassVar[str] = "topk"

    ratio: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio: found {self.ratio}, allowed is above 0 and at most 1")

    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """See :class:`Policy`."""
        layout = Layout.of(update)
        vector = layout.flatten(update)
        count = max(1, round(self.ratio * len(vector)))
        # A stable sort breaks ties by position, so that the choice is the same everywhere.
        chosen = np.zeros(len(vector), dtype=bool)
        chosen[np.argsort(-np.abs(vector), kind="stable")[:count]] = True
        values = vector[chosen].astype("<f2")
        if not np.all(np.isfinite(values)):
            raise ValueError(f"topk cannot express {np.max(np.abs(vector)):g} in float16")
        return pack(
            self.name,
            layout,
            {Section.POSITIONS: encode_positions(chosen), Section.VALUES: values.tobytes()},
        )

    def decode(self, payload: bytes, layout: Layout) -> Update:
        """See :class:`Policy`."""
        sections = unpack(payload, self.name, layout)
        chosen = decode_positions(sections.get(Section.POSITIONS, b""), layout.size)
        vector = np.zeros(layout.size, dtype=np.float32)
        vector[chosen] = section_array(sections, Section.VALUES, "<f2", int(chosen.sum()))
        return layout.unflatten(vector)
