"""``signsgd``: the sign of each coordinate, and one scale a matrix.

Karimireddy et al., "Error Feedback Fixes SignSGD and other Gradient Compression Schemes", ICML
2019, algorithm 1: what is sent of p is ``(||p||_1 / d) sign(p)``, here for each matrix of d
coordinates (the paper does so for each layer, section 6), and the rest is kept for the next update.
A coordinate of 0 has the sign +: one bit has no third value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fsim.compression.coding.signs import mean_magnitudes, pack_signs, unpack_signs
from fsim.compression.coding.vectors import finite_vector
from fsim.compression.feedback import encode_with_feedback
from fsim.compression.policy import EncodingContext, Policy
from fsim.core.types import FloatArray, Layout, Update


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
        return unpack_signs(self.name, payload, layout)

    def _encode(self, layout: Layout, vector: FloatArray) -> bytes:
        return pack_signs(self.name, layout, mean_magnitudes(vector, layout), vector < 0)
