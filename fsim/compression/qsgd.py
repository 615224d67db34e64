"""``qsgd``: stochastic uniform quantisation in buckets.

Alistarh et al., "QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding",
NeurIPS 2017, section 3 and the bucketing of section 4, in the packed form: each bucket sends its
largest magnitude (the scaling of the paper's experiments) and, for each coordinate, a sign and a
level of fixed width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.wire import Section, pack, pack_bits, section_array, unpack, unpack_bits
from fsim.vocabulary import Layout, Update


@dataclass(frozen=True)
class Qsgd(Policy):
    """Stochastic quantisation, unbiased: the mean of many decodings is the update.

    Attributes
    ----------
    bits
        For each coordinate, its sign included: 2 to 16.
    bucket
        Coordinates that share one scale, at least 1.
    """

    name: ClassVar[str] = "qsgd"

    bits: int = 4
    bucket: int = 512

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 16:
            raise ValueError(f"bits: found {self.bits}, allowed are 2 to 16")
        if self.bucket < 1:
            raise ValueError(f"bucket: found {self.bucket}, allowed is 1 or more")

    @property
    def _levels(self) -> int:
        return int(2 ** (self.bits - 1) - 1)

    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """See :class:`Policy`."""
        layout = Layout.of(update)
        vector = layout.flatten(update)
        scales = np.maximum.reduceat(np.abs(vector), np.arange(0, len(vector), self.bucket))
        scaled = np.abs(vector) / self._expand(np.where(scales > 0, scales, 1), len(vector))
        # A level is kept or raised by chance, so that its expectation is the value itself.
        levels = np.floor(scaled * self._levels + context.rng.random(len(vector)))
        levels = np.minimum(levels, self._levels).astype(np.int64)
        codes = levels | ((vector < 0).astype(np.int64) << (self.bits - 1))
        return pack(
            self.name,
            layout,
            {
                Section.SCALES: scales.astype("<f4").tobytes(),
                Section.VALUES: pack_bits(codes, self.bits),
            },
        )

    def decode(self, payload: bytes, layout: Layout) -> Update:
        """See :class:`Policy`."""
        sections = unpack(payload, self.name, layout)
        buckets = -(-layout.size // self.bucket)
        scales = section_array(sections, Section.SCALES, "<f4", buckets)
        codes = unpack_bits(sections.get(Section.VALUES, b""), layout.size, self.bits)
        levels = (codes & self._levels).astype(np.float32)
        signs = np.where(codes >> (self.bits - 1), np.float32(-1), np.float32(1))
        return layout.unflatten(signs * levels / self._levels * self._expand(scales, layout.size))

    def _expand(self, scales: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
        return np.repeat(scales, self.bucket)[:size]
