"""``float32`` and ``float16``: every coordinate as a plain floating-point number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.wire import Section, pack, section_array, unpack
from fsim.vocabulary import Layout, Update


class _Floats(Policy):
    dtype: ClassVar[str]

    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """See :class:`Policy`."""
        layout = Layout.of(update)
        vector = layout.flatten(update)
        limit = float(np.finfo(self.dtype).max)
        largest = float(np.max(np.abs(vector), initial=0.0))
        if not largest <= limit:
            raise ValueError(f"{self.name} cannot express {largest:g}, its limit is {limit:g}")
        return pack(self.name, layout, {Section.VALUES: vector.astype(self.dtype).tobytes()})

    def decode(self, payload: bytes, layout: Layout) -> Update:
        """See :class:`Policy`."""
        sections = unpack(payload, self.name, layout)
        return layout.unflatten(section_array(sections, Section.VALUES, self.dtype, layout.size))


@dataclass(frozen=True)
class Float32(_Floats):
    """Every coordinate as float32, without loss."""

    name: ClassVar[str] = "float32"
    dtype: ClassVar[str] = "<f4"


@dataclass(frozen=True)
class Float16(_Floats):
    """Every coordinate as float16, rounded to nearest: the usual uncompressed baseline."""

    name: ClassVar[str] = "float16"
    dtype: ClassVar[str] = "<f2"
