"""``float32``, ``float16`` and ``bfloat16``: every coordinate as a plain floating-point number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.compression.coding.wire import Section, pack, section_array, unpack
from fsim.compression.policy import EncodingContext, Policy
from fsim.core.errors import PayloadError
from fsim.core.types import FloatArray, Layout, Update


class _Floats(Policy):
    dtype: ClassVar[str]
    """What the wire holds."""
    limit: ClassVar[float]
    """The largest magnitude that the format has."""

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        layout = Layout.of(update)
        vector = layout.flatten(update)
        largest = float(np.max(np.abs(vector), initial=0.0))
        if not largest <= self.limit:
            raise ValueError(f"{self.name} cannot express {largest:g}, its limit is {self.limit:g}")
        return pack(self.name, layout, {Section.VALUES: self._narrow(vector).tobytes()})

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        values = self._widen(section_array(sections, Section.VALUES, self.dtype, layout.size))
        if not np.all(np.isfinite(values)):
            raise PayloadError("section values holds a number that is not finite")
        return layout.unflatten(values)

    def _narrow(self, vector: FloatArray) -> npt.NDArray[Any]:
        return vector.astype(self.dtype)

    def _widen(self, values: npt.NDArray[Any]) -> FloatArray:
        return values.astype(np.float32, copy=False)


@dataclass(frozen=True)
class Float32(_Floats):
    """Every coordinate as float32, without loss."""

    name: ClassVar[str] = "float32"
    dtype: ClassVar[str] = "<f4"
    limit: ClassVar[float] = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Float16(_Floats):
    """Every coordinate as float16, rounded to nearest: the usual uncompressed baseline."""

    name: ClassVar[str] = "float16"
    dtype: ClassVar[str] = "<f2"
    limit: ClassVar[float] = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class BFloat16(_Floats):
    """Every coordinate as bfloat16, rounded to nearest, ties to even.

    The upper half of a float32: its 8 bits of exponent, 7 of its 23 bits of fraction (Kalamkar et
    al., "A Study of BFLOAT16 for Deep Learning Training", arXiv 1905.12322, section 2). Subnormal
    numbers are kept.
    """

    name: ClassVar[str] = "bfloat16"
    dtype: ClassVar[str] = "<u2"
    limit: ClassVar[float] = (2 - 2**-7) * 2.0**127

    def _narrow(self, vector: FloatArray) -> npt.NDArray[Any]:
        bits = vector.view(np.uint32)
        # Half of the last place kept, less one where that place is even: ties go to even.
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(self.dtype)

    def _widen(self, values: npt.NDArray[Any]) -> FloatArray:
        return (values.astype(np.uint32) << 16).view(np.float32)
