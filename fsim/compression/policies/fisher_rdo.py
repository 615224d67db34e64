"""``fisher-rdo``: the Fisher-weighted rate-distortion problem, solved for the bits really sent.

This project's own policy. Fed-FSTQ (arXiv 2604.25421) ranks coordinates by F delta^2 and gives them
16, 4, 2 or 0 bits; what that stands for is to minimise sum_j F_j (delta_j - decoded_j)^2 for the
bytes at hand. Here each level is chosen to minimise F e^2 + lambda x its bits in the very tables
that code it (:mod:`fsim.compression.coding.rate_distortion`), in contexts that predict where the
Fisher is large from what was decoded before (:mod:`fsim.compression.coding.scan`), and lambda is
found such that the payload is as long as it may be. The decoder needs the payload and the layout
alone.

A matrix of mean Fisher F has a quantiser step in proportion to F^(-1/4): at high rates the best is
F^(-1/2) (each matrix then adds the same error), at low rates, where most levels are -1, 0 and 1, a
common one, the size of the values; between them lies what did best on real updates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.compression.budgets import budget_of, check_budget
from fsim.compression.coding import rate_distortion as rdo
from fsim.compression.coding.context_tables import ContextTables, parse_tables
from fsim.compression.coding.entropy import SymbolReader, SymbolWriter
from fsim.compression.coding.scan import CLASSES, Activity, Scan, contexts_of, scan_of
from fsim.compression.coding.vectors import finite_vector
from fsim.compression.coding.wire import (
    Section,
    pack,
    pack_bits,
    packed_length,
    unpack,
    unpack_bits,
)
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.size_option import SizeOption
from fsim.core.errors import PayloadError
from fsim.core.types import FloatArray, Layout, SensitivitySettings, TrainingRequest, Update

_CLASS_BITS = 4
_STEPS_OF_CLASSES = np.array(
    [2.0 ** (number // 4) * (1.0, 1.1892071, 1.4142135, 1.6817929)[number % 4]
     for number in range(CLASSES)], dtype=np.float32,
)  # fmt: skip
"""2^(class / 4), from constants: the same to the bit everywhere."""

_SPACINGS = ((0.15, 1), (0.7, 2), (float("inf"), 4))
"""Fine steps in a coarse one, by the bits a coordinate up to which that did best."""

_LARGEST_STEP = 1.4
"""The coarse step, in weighted root mean squares of the update, is this at most."""

_MOST_PASSES = 16
_TOLERANCE = 0.006
"""How far below its budget a payload may stay, as a share of it."""

_FIRST_PASSES = 3
_FIRST_PRICE, _PRICES = 0.3, (1e-7, 30.0)

_PRICE_PER_LENGTH = 1.6
"""Length goes about as the price to the power of -0.4 to -0.6 on real updates."""


@dataclass(frozen=True)
class FisherRdo(Policy):
    """Levels at the least Fisher-weighted error for a number of bytes.

    Attributes
    ----------
    rate
        Bits a coordinate that the payload may take beyond those of one that sends nothing, above 0
        and at most 8, where no budget is set.
    budget
        Bytes that the payload may take. Where the context has a budget too, the smaller holds.
    floor
        Added to each coordinate's Fisher, in units of the mean: a Fisher of 0 says only that the
        few samples seen did not need the coordinate.
    """

    name: ClassVar[str] = "fisher-rdo"
    size_option: ClassVar[SizeOption | None] = SizeOption(("rate",), 1e-2, 8.0)
    budget_condition: ClassVar[str | None] = ""

    rate: float = 0.4
    budget: int | None = None
    floor: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 8:
            raise ValueError(f"rate: found {self.rate}, allowed is above 0 and at most 8")
        if not 0 <= self.floor < float("inf"):
            raise ValueError(f"floor: found {self.floor}, allowed is 0 or more")
        check_budget(self.budget)

    @property
    def keeps_to_budget(self) -> bool:
        """Always."""
        return True

    def training_request(self) -> TrainingRequest:
        """The Fisher is measured; training stays as it is."""
        return TrainingRequest(sensitivity=SensitivitySettings())

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """Bits where they count most by the context's Fisher, which must be there.

        Raises
        ------
        ValueError
            Not even a payload without any level fits the budget, or there is no Fisher, or a
            value that is not finite.
        """
        if context.fisher is None:
            raise ValueError("fisher-rdo needs the client's Fisher, the context has none")
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        fisher = finite_vector(self.name, layout, context.fisher)
        task = _Task(layout, vector, fisher, self.floor)
        budget = budget_of(self.budget, context)
        if budget is None:
            budget = len(_nothing(task)) + int(self.rate * layout.size / 8)
        return _longest_within(task, budget)

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        scan = scan_of(layout)
        scales = sections.get(Section.SCALES, b"")
        head = 5 + rdo.POINTS
        if len(scales) != head + packed_length(scan.matrices, _CLASS_BITS):
            raise PayloadError(f"section scales has {len(scales)} bytes, expected other")
        step = np.frombuffer(scales, dtype="<f4", count=1)[0]
        spacing = scales[4]
        if spacing == 0:
            raise PayloadError("the payload has a spacing of 0 fine steps")
        points = np.frombuffer(scales[5:head], dtype=np.uint8).astype(np.int64)
        classes = unpack_bits(scales[head:], scan.matrices, _CLASS_BITS)
        means, tables = _parse_tables(sections.get(Section.TABLES, b""), classes)
        data = sections.get(Section.VALUES, b"")
        levels = _read_levels(data, scan, classes, means, tables, spacing)
        values = rdo.reconstruct(np.abs(levels), points, spacing) * np.sign(levels).astype(
            np.float32
        )
        with np.errstate(over="ignore", invalid="ignore"):
            values *= (step * _STEPS_OF_CLASSES)[classes[scan.matrix]]
        if not np.all(np.isfinite(values)):
            raise PayloadError("the payload stands for values that are not finite")
        vector = np.zeros(layout.size, dtype=np.float32)
        vector[scan.order] = values
        return layout.unflatten(vector)


class _Task:
    """An update to be encoded.

    Attributes
    ----------
    scan
        Of its layout.
    """

    def __init__(
        self, layout: Layout, vector: FloatArray, fisher: FloatArray, floor: float
    ) -> None:
        self.layout, self.scan = layout, scan_of(layout)
        self._negative = vector[self.scan.order] < 0
        self._values = np.abs(vector)[self.scan.order].astype(np.float64)
        self._weights = _relative(fisher[self.scan.order].astype(np.float64)) + floor
        matrix, count = self.scan.matrix, self.scan.matrices
        sizes = np.maximum(np.bincount(matrix, minlength=count), 1)
        means = np.bincount(matrix, self._weights, minlength=count) / sizes
        top = float(means.max(initial=0.0))
        ratio = np.divide(top, means, out=np.full(count, np.inf), where=means > 0)
        with np.errstate(divide="ignore"):
            octaves = np.rint(np.log2(np.maximum(ratio, 1.0)))
        self._classes = np.minimum(octaves, CLASSES - 1).astype(np.int64)
        energy = _total(self._weights * self._values**2)
        self._size = float(np.sqrt(energy / max(_total(self._weights), 1e-300)))
        self._top = top

    def problem(self, price: float, spacing: int) -> tuple[np.float32, rdo.Problem]:
        """The fine step of class 0, and the problem in units of each class's fine steps."""
        times = 2.3 * price**0.5 if spacing == 1 else 1.75 * price**0.25
        coarse = min(_LARGEST_STEP, times) * self._size * max(self._top, 1e-30) ** -0.25
        step = np.float32(coarse / spacing)
        steps = (step * _STEPS_OF_CLASSES)[self._classes[self.scan.matrix]].astype(np.float64)
        if self._size == 0 or not np.all(steps > 0):
            nothing = np.zeros(len(steps), dtype=np.float32)
            return np.float32(0), rdo.Problem(self.scan, nothing, nothing, self._classes, spacing)
        magnitudes = (self._values / steps).astype(np.float32)
        weights = (self._weights * (steps / self._size) ** 2).astype(np.float32)
        return step, rdo.Problem(self.scan, magnitudes, weights, self._classes, spacing)

    def payload(
        self, step: np.float32, levels: npt.NDArray[np.int64], model: rdo.Model, spacing: int
    ) -> bytes:
        """The levels, framed."""
        scales = np.array([step], dtype="<f4").tobytes() + bytes([spacing, *model.points])
        used = np.unique(self._classes)
        means = model.means[used].astype(np.uint8).tobytes()
        signed = np.where(self._negative, -levels, levels)
        sections = {
            Section.SCALES: scales + pack_bits(self._classes, _CLASS_BITS),
            Section.TABLES: means + model.tables.data,
            Section.VALUES: _write_levels(signed, self.scan, self._classes, model, spacing),
        }
        return pack(FisherRdo.name, self.layout, sections)


def _longest_within(task: _Task, budget: int) -> bytes:
    """The payload whose length comes just below a budget.

    Levels, model and price are fitted in turns: each pass chooses levels at the price and model of
    the pass before, and then changes the price by how much too long or short the payload is.
    """
    model, price = None, _FIRST_PRICE
    best = _nothing(task)
    if len(best) > budget:
        raise ValueError(
            f"fisher-rdo: found a budget of {budget} bytes, a payload of this adapter has at least "
            f"{len(best)}"
        )
    rate = 8 * (budget - len(best)) / max(task.layout.size, 1)
    spacing = next(spacing for limit, spacing in _SPACINGS if rate < limit)
    for number in range(_MOST_PASSES):
        step, problem = task.problem(price, spacing)
        levels = rdo.choose(problem, model, price)
        model = rdo.fit(problem, levels)
        payload = task.payload(step, levels, model, spacing)
        if len(best) <= len(payload) <= budget:
            best = payload
            if number >= _FIRST_PASSES and len(payload) >= (1 - _TOLERANCE) * budget:
                break
        aim = budget * (1 - _TOLERANCE / 2)
        price = float(np.clip(price * (len(payload) / aim) ** _PRICE_PER_LENGTH, *_PRICES))
    return best


def _nothing(task: _Task) -> bytes:
    """The shortest payload: no level at all."""
    step, problem = task.problem(_FIRST_PRICE, 1)
    levels = np.zeros(len(problem.magnitudes), dtype=np.int64)
    return task.payload(step, levels, rdo.fit(problem, levels), 1)


def _write_levels(
    levels: npt.NDArray[np.int64],
    scan: Scan,
    classes: npt.NDArray[np.int64],
    model: rdo.Model,
    spacing: int,
) -> bytes:
    coarse = -(-np.abs(levels) // spacing)
    groups = model.tables.groups[contexts_of(scan, classes, model.means, coarse)]
    writer = SymbolWriter()
    for part in scan.steps:
        for group, each in enumerate(model.tables.tables):
            if each.table is not None:
                symbols = levels[part][groups[part] == group]
                writer.write(symbols + each.largest, each.table)
    return writer.finish()


def _read_levels(
    data: bytes,
    scan: Scan,
    classes: npt.NDArray[np.int64],
    means: npt.NDArray[np.int64],
    tables: ContextTables,
    spacing: int,
) -> npt.NDArray[np.int64]:
    reader = SymbolReader(data)
    activity = Activity(scan, classes, means)
    levels = np.zeros(len(scan.order), dtype=np.int64)
    for step, part in enumerate(scan.steps):
        groups = tables.groups[activity.contexts(step)]
        for group, each in enumerate(tables.tables):
            if each.table is not None:
                at = np.flatnonzero(groups == group) + part.start
                levels[at] = reader.read(each.table, len(at)).astype(np.int64) - each.largest
        activity.add(step, -(-np.abs(levels[part]) // spacing))
    reader.finish()
    return levels


def _parse_tables(
    data: bytes, classes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], ContextTables]:
    """The mean of each class that a matrix has, a byte each, and the tables after them."""
    used = np.unique(classes)
    if len(data) < len(used):
        raise PayloadError("the payload ends within its tables")
    means = np.zeros(CLASSES, dtype=np.int64)
    means[used] = np.frombuffer(data, dtype=np.uint8, count=len(used))
    return means, parse_tables(data[len(used) :])


def _relative(fisher: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """In units of the mean; all alike where there is none."""
    mean = _total(fisher) / max(len(fisher), 1)
    return fisher / mean if mean > 0 else np.ones_like(fisher)


def _total(values: npt.NDArray[np.float64]) -> float:
    """A sum taken in one fixed order, so that every machine gets the same."""
    return float(np.bincount(np.zeros(len(values), dtype=np.int64), values, minlength=1)[0])
