"""``signsgd``: the sign of each coordinate, and one scale a matrix.

Karimireddy et al., "Error Feedback Fixes SignSGD and other Gradient Compression Schemes", ICML
2019, algorithm 1: what is sent of p is ``(||p||_1 / d) sign(p)``, here for each matrix of d
coordinates (the paper does so for each layer, section 6), and the rest is kept for the next update.
A coordinate of 0 has the sign +: one bit has no third value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.compression.feedback import encode_with_feedback
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.vectors import expand, finite_array, finite_vector, narrow
from fsim.compression.wire import Section, pack, pack_bits, unpack, unpack_bits
from fsim.vocabulary import FloatArray, Layout, Update


@dataclass(frozen=True)
class SignSgd(Policy):
    """Signs times their matrix's mean magnitude.

    Attributes
    ----------
    error_feedback
        Whether a client adds what its last payload left out. On by default, since the scaled sign
        is biased and the method's convergence rests on the residual. Where a client takes part
        rarely the residual is of an old global adapter; turn it off and compare.
    """

    name: ClassVar[str] = "signsgd"

    error_feedback: bool = True

    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """See :class:`Policy`."""
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        if not self.error_feedback:
            return self._encode(layout, vector)
        return encode_with_feedback(
            self, layout, vector, context, lambda corrected: self._encode(layout, corrected)
        )

    def decode(self, payload: bytes, layout: Layout) -> Update:
        """See :class:`Policy`."""
        sections = unpack(payload, self.name, layout)
        scales = finite_array(sections, Section.SCALES, "<f4", len(layout.tensors))
        negative = unpack_bits(sections.get(Section.VALUES, b""), layout.size, 1)
        return layout.unflatten(np.array([1, -1], np.float32)[negative] * expand(scales, layout))

    def _encode(self, layout: Layout, vector: FloatArray) -> bytes:
        sums = np.add.reduceat(np.abs(vector), layout.bounds[:-1], dtype=np.float64)
        scales = narrow(self.name, sums / np.diff(layout.bounds), "<f4")
        return pack(
            self.name, layout, {Section.SCALES: scales, Section.VALUES: pack_bits(vector < 0, 1)}
        )
