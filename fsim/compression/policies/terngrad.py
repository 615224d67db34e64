"""``terngrad``: each coordinate as -1, 0 or 1 of its matrix's largest magnitude.

Wen et al., "TernGrad: Ternary Gradients to Reduce Communication in Distributed Deep Learning",
NIPS 2017: layer-wise ternarising (section 3.1 and "layer-wise ternarizing" of section 3.3), where a
coordinate is sent with probability ``|g| / s``, and clipping at c standard deviations (section 3.3,
equation 10), which makes s smaller at the price of a bias. Their scaler sharing among workers is
not needed where a server averages decoded updates.

Choices: a layer is one matrix; the standard deviation is that of its coordinates; five ternary
digits fill a byte (3**5 = 243), the most significant first, 0 for 0, 1 for +1, 2 for -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.compression.coding.stochastic import round_by_chance
from fsim.compression.coding.vectors import expand, finite_array, finite_vector
from fsim.compression.coding.wire import Section, pack, unpack
from fsim.compression.policy import EncodingContext, Policy
from fsim.core.errors import PayloadError
from fsim.core.types import FloatArray, Layout, Update

_DIGITS = 5
_PLACES = 3 ** np.arange(_DIGITS - 1, -1, -1)


@dataclass(frozen=True)
class TernGrad(Policy):
    """Stochastic ternary values at 1.6 bits a coordinate.

    Attributes
    ----------
    clip
        Magnitudes are cut at so many standard deviations of their matrix (c); 2.5 is what the
        paper's experiments use. 0 does not clip, which makes the policy unbiased.
    """

    name: ClassVar[str] = "terngrad"

    clip: float = 2.5

    def __post_init__(self) -> None:
        if not 0 <= self.clip < float("inf"):
            raise ValueError(f"clip: found {self.clip}, allowed is 0 or more")

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        magnitudes = self._clipped(vector, layout)
        scales = np.maximum.reduceat(magnitudes, layout.bounds[:-1])
        rounded = round_by_chance(magnitudes, expand(scales, layout), 1, context.rng)
        digits = np.where(vector < 0, 2 * rounded, rounded)
        return pack(
            self.name,
            layout,
            {Section.SCALES: scales.astype("<f4").tobytes(), Section.VALUES: pack_trits(digits)},
        )

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        scales = finite_array(sections, Section.SCALES, "<f4", len(layout.tensors))
        digits = unpack_trits(sections.get(Section.VALUES, b""), layout.size)
        signs = np.array([0, 1, -1], dtype=np.float32)[digits]
        return layout.unflatten(signs * expand(scales, layout))

    def _clipped(self, vector: FloatArray, layout: Layout) -> FloatArray:
        magnitudes = np.abs(vector)
        if not self.clip:
            return magnitudes
        begins, sizes = layout.bounds[:-1], np.diff(layout.bounds)
        means = np.add.reduceat(vector, begins, dtype=np.float64) / sizes
        squares = np.add.reduceat(np.square(vector, dtype=np.float64), begins) / sizes
        deviations = np.sqrt(np.maximum(squares - means**2, 0))
        limits = (self.clip * deviations).astype(np.float32)
        # Equal coordinates have no deviation to be cut at.
        limits[limits == 0] = np.inf
        return np.minimum(magnitudes, expand(limits, layout))


def pack_trits(digits: npt.NDArray[np.int64]) -> bytes:
    """Ternary digits, five a byte, the last byte filled with zeros."""
    padded = np.concatenate([digits, np.zeros(-len(digits) % _DIGITS, dtype=np.int64)])
    return (padded.reshape(-1, _DIGITS) @ _PLACES).astype(np.uint8).tobytes()


def unpack_trits(data: bytes, count: int) -> npt.NDArray[np.int64]:
    """The inverse of :func:`pack_trits`.

    Raises
    ------
    PayloadError
        The data are of another length, or a byte is above 242.
    """
    expected = -(-count // _DIGITS)
    if len(data) != expected:
        raise PayloadError(f"found {len(data)} bytes of ternary digits, expected {expected}")
    packed = np.frombuffer(data, dtype=np.uint8)
    if np.any(packed > 3**_DIGITS - 1):
        raise PayloadError("the payload has a byte that stands for no five ternary digits")
    return _TRITS[packed].reshape(-1)[:count]


_TRITS = np.arange(3**_DIGITS)[:, None] // _PLACES % 3
