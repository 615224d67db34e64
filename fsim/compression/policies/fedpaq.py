"""``fedpaq``: a low-precision quantiser of the model difference, scaled by its norm.

Reisizadeh et al., "FedPAQ: A Communication-Efficient Federated Learning Method with Periodic
Averaging and Quantization", AISTATS 2020, example 1 (the quantiser of QSGD): a coordinate is sent
as the norm of the difference, its sign and one of s levels above 0, rounded by chance. Periodic
averaging and partial participation, the paper's other two parts, are what every round here does.

The paper has one norm for the whole difference. Its noise then grows with the number of
coordinates: a level is worth ``norm / s``, and the norm is about ``sqrt(n)`` typical coordinates.
At 8 bits and some ten thousand coordinates the noise is as large as the update. ``scale:
matrix`` takes a norm for each matrix; ``qsgd`` scales by buckets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.compression.coding.stochastic import round_by_chance
from fsim.compression.coding.vectors import expand, finite_array, finite_vector, narrow
from fsim.compression.coding.wire import Section, pack, pack_bits, unpack, unpack_bits
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.size_option import SizeOption
from fsim.core.types import FloatArray, Layout, Update


@dataclass(frozen=True)
class FedPaq(Policy):
    """Norm, sign and level, unbiased: the mean of many decodings is the update.

    Attributes
    ----------
    bits
        For each coordinate, its sign included: 2 to 16. There are s = ``2**(bits - 1) - 1`` levels
        above 0.
    scale
        ``"vector"``: one norm, as in the paper; ``"matrix"``: one a matrix.
    """

    name: ClassVar[str] = "fedpaq"
    size_option: ClassVar[SizeOption | None] = SizeOption(("bits",), 2, 16, whole_from=1)

    bits: int = 8
    scale: Literal["vector", "matrix"] = "vector"

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 16:
            raise ValueError(f"bits: found {self.bits}, allowed are 2 to 16")

    @property
    def _levels(self) -> int:
        return int(2 ** (self.bits - 1) - 1)

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        begins = layout.bounds[:-1] if self.scale == "matrix" else [0]
        norms = np.sqrt(np.add.reduceat(np.square(vector, dtype=np.float64), begins))
        data = narrow(self.name, norms, "<f4")
        scales = self._expand(norms.astype(np.float32), layout)
        levels = round_by_chance(np.abs(vector), scales, self._levels, context.rng)
        codes = levels | (vector < 0).astype(np.int64) << (self.bits - 1)
        return pack(
            self.name, layout, {Section.SCALES: data, Section.VALUES: pack_bits(codes, self.bits)}
        )

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        count = len(layout.tensors) if self.scale == "matrix" else 1
        norms = finite_array(sections, Section.SCALES, "<f4", count)
        codes = unpack_bits(sections.get(Section.VALUES, b""), layout.size, self.bits)
        levels = (codes & self._levels).astype(np.float32)
        signs = np.where(codes >> (self.bits - 1), np.float32(-1), np.float32(1))
        return layout.unflatten(signs * levels / self._levels * self._expand(norms, layout))

    def _expand(self, norms: npt.NDArray[np.float32], layout: Layout) -> FloatArray:
        return expand(norms, layout) if self.scale == "matrix" else np.repeat(norms, layout.size)
