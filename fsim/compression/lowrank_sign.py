"""``lowrank-sign``: each matrix as a vector of signs times a short vector.

This project's own. What a few local steps make of a LoRA factor is nearly of rank one: a third to
a half of its energy lies along one direction of its short side, the rank of the LoRA
(docs/research-log.md). So a factor of n x r is sent as s v', s having a sign for each of its n rows
and v a coarse number for each of its r columns: about 1/r of a bit a coordinate, for which signs of
single coordinates would bring a quarter of what this does.

s and v are fitted in turns: the best v for signs s is M' s / n, the best signs for v are those of
M v. All sums are of whole numbers, so that every machine comes to the same bytes.

The one direction that is sent is the largest, and of clients with data of different kinds that is
for the most part what they disagree on: sent alone round after round, it learns fast and then stops
at what it leaves out. So only some ``columns`` are sent at a time, others each time and from each
client, drawn from a seed that travels in the payload. One column is a random mask, unbiased and
noisy; all of them are the best approximation, and biased; two to four lie between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fsim.compression.log_scales import scale_codes, scales_of
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.vectors import finite_vector
from fsim.compression.wire import (
    Section,
    pack,
    pack_bits,
    packed_length,
    section_array,
    unpack,
    unpack_bits,
)
from fsim.errors import PayloadError
from fsim.vocabulary import FloatArray, Layout, TensorSpec, Update

_FINENESS = 2**15
"""Values are fitted in this fraction of their matrix's largest."""

_TURNS = 6
"""Of the fit; it rarely changes after four."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LowRankSign(Policy):
    """Signs of rows times a short vector for each matrix.

    Attributes
    ----------
    columns
        Of each matrix's short side that are sent, 1 or more; drawn anew for each payload.
    share
        Of the rows that is sent, in (0, 1]; drawn too.
    gain
        What decoded values are multiplied by.
    bits
        Of each entry of the short vector, 2 to 8.
    """

    name: ClassVar[str] = "lowrank-sign"

    columns: int = 3
    share: float = 1.0
    gain: float = 3.0
    bits: int = 3

    def __post_init__(self) -> None:
        if self.columns < 1:
            raise ValueError(f"columns: found {self.columns}, allowed is 1 or more")
        if not 0 < self.share <= 1:
            raise ValueError(f"share: found {self.share}, allowed is above 0 and at most 1")
        if not 0 < self.gain < float("inf"):
            raise ValueError(f"gain: found {self.gain}, allowed is above 0")
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits: found {self.bits}, allowed is 2 to 8")

    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """See :class:`Policy`; ``context.seed`` says which rows and columns."""
        layout = Layout.of(update)
        finite_vector(self.name, layout, update)
        seed = context.seed & 0xFFFFFFFF
        codes, levels, signs = [], [], []
        for spec, (rows, columns) in zip(layout.tensors, self._chosen(seed, layout), strict=True):
            code, level, negative = self._fit(_tall(update[spec.name])[np.ix_(rows, columns)])
            codes.append(code)
            levels.append(level + self._most)
            signs.append(negative)
        scales = np.array(codes, dtype=np.uint8).tobytes()
        return pack(
            self.name,
            layout,
            {
                Section.POSITIONS: seed.to_bytes(4, "little"),
                Section.SCALES: scales + pack_bits(np.concatenate(levels), self.bits),
                Section.VALUES: pack_bits(np.concatenate(signs), 1),
            },
        )

    def decode(self, payload: bytes, layout: Layout) -> Update:
        """See :class:`Policy`."""
        sections = unpack(payload, self.name, layout)
        seed = int(section_array(sections, Section.POSITIONS, "<u4", 1)[0])
        chosen = self._chosen(seed, layout)
        heights, widths = ([len(side) for side in sides] for sides in zip(*chosen, strict=True))
        data, count = sections.get(Section.SCALES, b""), len(chosen)
        if len(data) != count + packed_length(sum(widths), self.bits):
            raise PayloadError(f"section scales has {len(data)} bytes, expected other")
        scales = scales_of(np.frombuffer(data[:count], dtype=np.uint8))
        levels = unpack_bits(data[count:], sum(widths), self.bits).astype(np.int64) - self._most
        if levels.max(initial=0) > self._most:
            raise PayloadError("the payload has a level that no encoder writes")
        values = np.split(levels.astype(np.float32), np.cumsum(widths)[:-1])
        negative = unpack_bits(sections.get(Section.VALUES, b""), sum(heights), 1)
        signs = np.split(np.array([1, -1], np.float32)[negative], np.cumsum(heights)[:-1])
        update: Update = {}
        for at, spec in enumerate(layout.tensors):
            tall = np.zeros(_sides(spec), dtype=np.float32)
            short = values[at] * scales[at] * np.float32(self.gain)
            tall[np.ix_(*chosen[at])] = signs[at][:, None] * short
            update[spec.name] = _untall(tall, spec)
        return update

    @property
    def _most(self) -> int:
        """The largest level."""
        return int(2 ** (self.bits - 1) - 1)

    def _fit(self, tall: FloatArray) -> tuple[int, Integers, npt.NDArray[np.bool_]]:
        """Code of the scale, levels of the short vector, and which rows are negative."""
        rows, width = tall.shape
        top = float(np.abs(tall).max(initial=0.0))
        if top == 0:
            return 0, np.zeros(width, np.int64), np.zeros(rows, np.bool_)
        whole = np.rint(tall.astype(np.float64) * (_FINENESS / top)).astype(np.int64)
        sums = _sums(whole)
        unit = top / (_FINENESS * rows)
        largest = int(np.abs(sums).max())
        code = int(scale_codes(np.array([largest * unit / self._most]))[0])
        step = float(scales_of(np.array([code], dtype=np.uint8))[0])
        with np.errstate(divide="ignore", over="ignore"):
            wanted = np.nan_to_num(np.rint(sums * (unit / step)))
        levels = np.clip(wanted, -self._most, self._most).astype(np.int64)
        return code, levels, whole @ levels < 0

    def _chosen(self, seed: int, layout: Layout) -> list[tuple[Integers, Integers]]:
        """Rows and columns of each matrix that a seed stands for, in ascending order."""
        sides = [_sides(spec) for spec in layout.tensors]
        # Raw output of the generator, whose bits are the same in every version of NumPy.
        lots = np.random.PCG64(seed).random_raw(sum(map(sum, sides)))
        chosen, at = [], 0
        for rows, columns in sides:
            sent = max(1, round(self.share * rows))
            first, second = lots[at : at + rows], lots[at + rows : at + rows + columns]
            chosen.append((_smallest(first, sent), _smallest(second, self.columns)))
            at += rows + columns
        return chosen


def _smallest(lots: npt.NDArray[np.uint64], count: int) -> Integers:
    """Where the smallest are, in ascending order; all if there are no more."""
    smallest: Integers = np.sort(np.argsort(lots, kind="stable")[:count])
    return smallest


def _sums(whole: Integers) -> Integers:
    """M' s for the signs s that lead to the longest M' s.

    Fitted in turns with the short vector, once from the signs of each column: the turns end in a
    local maximum, of which the best is taken.
    """
    signs = np.where(whole < 0, -1, 1).T
    for _ in range(_TURNS):
        signs = np.where((signs @ whole) @ whole.T < 0, -1, 1)
    sums: Integers = signs @ whole
    best: Integers = sums[int(np.argmax(np.sum(sums.astype(np.float64) ** 2, axis=1)))]
    return best


def _sides(spec: TensorSpec) -> tuple[int, int]:
    """Long and short side; a vector has a short side of 1."""
    first = spec.shape[0] if spec.shape else 1
    rest = spec.size // max(first, 1)
    return (first, rest) if first >= rest else (rest, first)


def _tall(array: FloatArray) -> FloatArray:
    """A tensor as a matrix (first dimension against the others) that stands on its short side."""
    matrix = array.reshape(len(array) if array.ndim else 1, -1)
    return matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T


def _untall(tall: FloatArray, spec: TensorSpec) -> FloatArray:
    first = spec.shape[0] if spec.shape else 1
    matrix = tall if len(tall) == first else tall.T
    return np.ascontiguousarray(matrix).reshape(spec.shape)
