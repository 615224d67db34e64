"""``powersgd``: each matrix as a product of two thin ones.

Vogels et al., "PowerSGD: Practical Low-Rank Gradient Compression for Distributed Optimization",
NeurIPS 2019, algorithm 1 with the warm start and error feedback of algorithm 2: one step of a power
iteration, P = M Q, P made orthonormal, Q = M' P, and what is sent stands for P Q'.

In the paper workers average P, then Q, and the second needs the first from all of them. A client
that uploads once cannot wait for that: here each client factors its own update, and the server
averages the products. Matrices (the first dimension against all others) of which the factors are
not smaller, and vectors, are sent as they are; in a LoRA of rank R that is every matrix from about
rank R on. The factors come from matrix products, whose last bits may depend on the machine's
linear algebra library; their decoding too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.compression.coding.vectors import finite_array, finite_vector, narrow
from fsim.compression.coding.wire import Section, pack, unpack
from fsim.compression.feedback import encode_with_feedback
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.size_option import SizeOption
from fsim.core.errors import PayloadError
from fsim.core.types import FloatArray, Layout, TensorSpec, Update

Matrix = npt.NDArray[np.float64]
_WARM = "powersgd"
_DEPENDENT = 1e-9
"""A column of which less than this share is left stood in the space of those before it."""


@dataclass(frozen=True)
class PowerSgd(Policy):
    """Factors of a given rank for each matrix.

    Attributes
    ----------
    rank
        Columns of each factor, at least 1 (r).
    dtype
        Of all numbers sent, ``"float16"`` or, as in the paper, ``"float32"``.
    error_feedback
        Whether what the factors leave out is added to the client's next update, as in the paper.
    warm_start
        Whether a client begins with the factor Q of its last update, as in the paper; else with a
        new Gaussian one.
    """

    name: ClassVar[str] = "powersgd"
    size_option: ClassVar[SizeOption | None] = SizeOption(("rank",), 1, 64, whole_from=1)
    whole_matrices: ClassVar[bool] = True

    rank: int = 2
    dtype: Literal["float16", "float32"] = "float16"
    error_feedback: bool = True
    warm_start: bool = True

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank: found {self.rank}, allowed is 1 or more")

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        if not self.error_feedback:
            return self._encode(layout, vector, context)
        return encode_with_feedback(
            self,
            layout,
            vector,
            context,
            lambda corrected: self._encode(layout, corrected, context),
        )

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        count = sum(self._numbers(spec) for spec in layout.tensors)
        numbers = finite_array(sections, Section.VALUES, self._wire_type, count)
        update: Update = {}
        at = 0
        for spec in layout.tensors:
            part = numbers[at : at + self._numbers(spec)]
            at += len(part)
            if self._is_factored(spec):
                rows = spec.shape[0]
                left = part[: rows * self.rank].reshape(rows, self.rank)
                right = part[rows * self.rank :].reshape(-1, self.rank)
                with np.errstate(over="ignore", invalid="ignore"):
                    part = left @ right.T
                if not np.all(np.isfinite(part)):
                    raise PayloadError(f"the factors of {spec.name} multiply beyond float32")
            update[spec.name] = part.reshape(spec.shape)
        return update

    def _encode(self, layout: Layout, vector: FloatArray, context: EncodingContext) -> bytes:
        warm: dict[str, Matrix] = context.memory.setdefault(_WARM, {}) if self.warm_start else {}
        numbers: list[npt.NDArray[Any]] = []
        for spec, part in zip(layout.tensors, np.split(vector, layout.bounds[1:-1]), strict=True):
            if not self._is_factored(spec):
                numbers.append(part)
                continue
            matrix = part.reshape(spec.shape[0], -1).astype(np.float64)
            start = warm.get(spec.name)
            if start is None:
                start = context.rng.standard_normal((matrix.shape[1], self.rank))
            left, right = factor(matrix, start)
            # A column that found nothing would find nothing ever after.
            warm[spec.name] = np.where(np.any(right != 0, axis=0), right, start)
            numbers += [left.ravel(), right.ravel()]
        data = narrow(self.name, np.concatenate(numbers), self._wire_type)
        return pack(self.name, layout, {Section.VALUES: data})

    @property
    def _wire_type(self) -> str:
        return "<f2" if self.dtype == "float16" else "<f4"

    def _numbers(self, spec: TensorSpec) -> int:
        """Numbers sent for a matrix."""
        if len(spec.shape) < 2:
            return spec.size
        rows = spec.shape[0]
        return min(spec.size, self.rank * (rows + spec.size // max(rows, 1)))

    def _is_factored(self, spec: TensorSpec) -> bool:
        return self._numbers(spec) < spec.size


def factor(matrix: Matrix, start: Matrix) -> tuple[Matrix, Matrix]:
    """One power iteration: orthonormal P of shape (n, r) and Q of shape (m, r), M about P Q'.

    Parameters
    ----------
    matrix
        M, of shape (n, m).
    start
        The Q to begin with, of shape (m, r).
    """
    left = orthonormal(matrix @ start)
    return left, matrix.T @ left


def orthonormal(columns: Matrix) -> Matrix:
    """Columns made orthonormal from first to last by modified Gram-Schmidt, twice over.

    A column that depends on those before it becomes zero.
    """
    result = columns.copy()
    for at in range(result.shape[1]):
        column = result[:, at]
        before = np.linalg.norm(column)
        for _ in range(2):
            for other in range(at):
                column -= (result[:, other] @ column) * result[:, other]
        after = np.linalg.norm(column)
        column *= 1 / after if after > _DEPENDENT * before else 0
    return result
