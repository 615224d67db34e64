"""``stc``: the largest coordinates as signs of one mean, their gaps Golomb-coded.

Sattler et al., "Robust and Communication-Efficient Federated Learning from Non-i.i.d. Data", IEEE
Transactions on Neural Networks and Learning Systems 31(9), 2020: sparse ternary compression
(algorithm 1: the k largest, each sent as plus or minus the mean of their magnitudes), the residual
kept by the client (algorithm 2), and gaps coded as in its algorithm 3 with the parameter b* of its
equation 17.

Choices: k and the mean are over all matrices together; k is the sparsity of the policy times the
number of coordinates, rounded and at least 1, so that neither it nor b* is sent; signs follow as
bits of their own. The paper compresses the download too, which is what a downlink policy is for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fsim.compression.coding.bitstreams import decode_golomb, encode_golomb
from fsim.compression.coding.vectors import finite_array, finite_vector, largest, narrow, share_of
from fsim.compression.coding.wire import Section, pack, pack_bits, unpack, unpack_bits
from fsim.compression.feedback import encode_with_feedback
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.size_option import SizeOption
from fsim.core.errors import PayloadError
from fsim.core.types import FloatArray, Layout, Update

_GOLDEN = (math.sqrt(5) + 1) / 2


@dataclass(frozen=True)
class Stc(Policy):
    """Sparse ternary values at a few bits for each that is sent.

    Attributes
    ----------
    ratio
        Share of the coordinates that is sent, in (0, 1] (p); the paper's experiments go from 1/25
        to 1/400.
    error_feedback
        Whether what is not sent is added to the client's next update, as in the paper.
    """

    name: ClassVar[str] = "stc"
    size_option: ClassVar[SizeOption | None] = SizeOption(("ratio",), 1e-3, 1.0)

    ratio: float = 0.04
    error_feedback: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio: found {self.ratio}, allowed is above 0 and at most 1")

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        if not self.error_feedback:
            return self._encode(layout, vector)
        return encode_with_feedback(
            self, layout, vector, context, lambda corrected: self._encode(layout, corrected)
        )

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        count = share_of(self.ratio, layout.size)
        mean = finite_array(sections, Section.SCALES, "<f4", 1)
        negative = unpack_bits(sections.get(Section.VALUES, b""), count, 1)
        width = golomb_width(count / layout.size)
        data = sections.get(Section.POSITIONS, b"")
        if len(data) > (count * (1 + width) + (layout.size >> width) + 7) // 8:
            raise PayloadError(f"the payload has {len(data)} bytes of gaps for {count} positions")
        at = np.cumsum(decode_golomb(data, count, width) + 1) - 1
        if at[-1] >= layout.size:
            raise PayloadError(f"the payload names a coordinate beyond {layout.size - 1}")
        vector = np.zeros(layout.size, dtype=np.float32)
        vector[at] = np.array([1, -1], np.float32)[negative] * mean
        return layout.unflatten(vector)

    def _encode(self, layout: Layout, vector: FloatArray) -> bytes:
        count = share_of(self.ratio, layout.size)
        at = np.flatnonzero(largest(vector, count))
        mean = np.array([np.mean(np.abs(vector[at]), dtype=np.float64)])
        gaps = np.diff(at, prepend=-1) - 1
        return pack(
            self.name,
            layout,
            {
                Section.POSITIONS: encode_golomb(gaps, golomb_width(count / layout.size)),
                Section.SCALES: narrow(self.name, mean, "<f4"),
                Section.VALUES: pack_bits(vector[at] < 0, 1),
            },
        )


def golomb_width(share: float) -> int:
    """Bits of a gap's rest, b*, where each coordinate is sent with probability ``share``.

    ``1 + floor(log2(log(phi - 1) / log(1 - share)))`` with the golden ratio phi (equation 17); 0
    where that is negative.
    """
    if share >= 1:
        return 0
    return max(0, 1 + math.floor(math.log2(math.log(_GOLDEN - 1) / math.log1p(-share))))
