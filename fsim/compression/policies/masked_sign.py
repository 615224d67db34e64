"""``masked-sign``: signs of a pseudo-random share of the coordinates, their positions for nothing.

This project's own. A few local steps of AdamW move every coordinate by about as much, so that an
update carries little more than its signs, and choosing coordinates by magnitude chooses by noise
(docs/research-log.md). So a client sends the signs of a share of its coordinates, drawn from a seed
that travels in the payload: positions cost no bits. The server draws them again, and decodes with a
gain, since a coordinate that is sent by a share of the clients moves by that share of their mean.
Other clients and rounds send other coordinates; a server optimiser with momentum
(``server.optimizer: fedavgm``) brings them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.compression.coding.log_scales import scale_codes, scales_of
from fsim.compression.coding.signs import mean_magnitudes
from fsim.compression.coding.vectors import expand, finite_vector
from fsim.compression.coding.wire import (
    Section,
    pack,
    pack_bits,
    section_array,
    unpack,
    unpack_bits,
)
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.size_option import SizeOption
from fsim.core.types import Layout, Update


@dataclass(frozen=True)
class MaskedSign(Policy):
    """Signs of a random share of the coordinates, one scale a matrix.

    Attributes
    ----------
    share
        Of the coordinates that is sent, in (0, 1].
    gain
        What decoded values are multiplied by. 1 / share would make up in full for the clients that
        did not send a coordinate; less is steadier.
    share_a
        The share of the coordinates of LoRA's A matrices, where it is another; 0 sends none.
    """

    name: ClassVar[str] = "masked-sign"
    size_option: ClassVar[SizeOption | None] = SizeOption(("share",), 1e-3, 1.0)

    share: float = 0.1
    gain: float = 4.0
    share_a: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share: found {self.share}, allowed is above 0 and at most 1")
        if self.share_a is not None and not 0 <= self.share_a <= 1:
            raise ValueError(f"share_a: found {self.share_a}, allowed is 0 to 1")
        if not 0 < self.gain < float("inf"):
            raise ValueError(f"gain: found {self.gain}, allowed is above 0")

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """Signs of the coordinates that ``context.seed`` chooses."""
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        seed = context.seed & 0xFFFFFFFF
        positions = self._positions(seed, layout)
        codes = scale_codes(mean_magnitudes(vector, layout))
        return pack(
            self.name,
            layout,
            {
                Section.POSITIONS: seed.to_bytes(4, "little"),
                Section.SCALES: codes.tobytes(),
                Section.VALUES: pack_bits(vector[positions] < 0, 1),
            },
        )

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        seed = int(section_array(sections, Section.POSITIONS, "<u4", 1)[0])
        codes = section_array(sections, Section.SCALES, "u1", len(layout.tensors))
        positions = self._positions(seed, layout)
        negative = unpack_bits(sections.get(Section.VALUES, b""), len(positions), 1)
        scales = expand(scales_of(codes), layout)[positions]
        vector = np.zeros(layout.size, dtype=np.float32)
        vector[positions] = np.array([1, -1], np.float32)[negative] * scales * np.float32(self.gain)
        return layout.unflatten(vector)

    def _positions(self, seed: int, layout: Layout) -> npt.NDArray[np.int64]:
        """Coordinates that a seed stands for, in ascending order."""
        # Raw output of the generator, whose bits are the same in every version of NumPy.
        lots = np.random.PCG64(seed).random_raw(layout.size).astype(np.uint64)
        is_a = np.repeat(["lora_A" in spec.name for spec in layout.tensors], np.diff(layout.bounds))
        positions = []
        for group, share in ((~is_a, self.share), (is_a, self._share_of_a)):
            places = np.flatnonzero(group)
            count = round(share * len(places))
            positions.append(places[np.argsort(lots[places], kind="stable")[:count]])
        both: npt.NDArray[np.int64] = np.sort(np.concatenate(positions))
        return both

    @property
    def _share_of_a(self) -> float:
        return self.share if self.share_a is None else self.share_a
