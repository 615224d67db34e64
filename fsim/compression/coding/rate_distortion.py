"""Rate-distortion optimised quantisation: levels chosen by error and by what they really cost.

The principle is that of H. Everett, "Generalized Lagrange multiplier method", Operations Research
11 (1963), and of the entropy-constrained quantiser of P. A. Chou, T. Lookabaugh and R. M. Gray
(IEEE Trans. ASSP 37, 1989): for a Lagrangian D + lambda R, levels are chosen for the costs and
reconstruction points at hand, then costs and points are fitted to the levels, again and again.
That a level may be the one below or none at all, and not only the nearest, is what video coders
call RDOQ. Here the error of each coordinate is weighted by its Fisher.

The weights differ by orders of magnitude, so no one step suits all: levels are those of a fine
step, and every ``spacing``-th of them is a coarse level. The fine ones are dear at first, so that
only coordinates of great weight take them, which keeps them rare and therefore dear: the tables
learn two resolutions, and no coordinate needs to be told which it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fsim.compression.coding.context_tables import LARGEST, ContextTables, costs, fit_tables
from fsim.compression.coding.scan import CONTEXTS, Activity, Scan, contexts_of, mean_codes

POINTS = 3
"""Reconstruction points: of the first and second coarse magnitude, and of all above."""

_FIRST_BITS = (0.25, 4.5, 1.5, 5.0)
"""Bits of level 0, of the first coarse one, of each one more, and of being a fine level on top of
that, before anything is known."""

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Problem:
    """Vector that is to be quantised, in order of coding.

    Attributes
    ----------
    magnitudes
        In fine steps.
    weights
        Weight of a squared error of one step.
    classes
        Of each matrix.
    spacing
        Fine steps in a coarse one, 1 or more.
    """

    scan: Scan
    magnitudes: FloatArray
    weights: FloatArray
    classes: IntArray
    spacing: int


@dataclass(frozen=True, eq=False)
class Model:
    """Statistics that are fitted to a choice of levels, and sent beside them.

    Attributes
    ----------
    means
        Codes of each class's mean level.
    points
        Codes of the reconstruction points, shape ``(POINTS,)``; see :func:`reconstruct`.
    tables
        Of the levels by context.
    """

    means: IntArray
    points: IntArray
    tables: ContextTables


def reconstruct(magnitudes: npt.NDArray[Any], points: IntArray, spacing: int) -> FloatArray:
    """Values that levels of such magnitudes stand for, in fine steps.

    The coarse level m x spacing stands for (m + (code - 128) / 256) x spacing with the code of the
    first, second or last point for m = 1, m = 2 and m > 2; any other level, and 0, for itself.
    """
    table = np.arange(LARGEST + 1, dtype=np.float32)
    offsets = (points.astype(np.float32) - 128) / 256 * np.float32(spacing)
    coarse = np.arange(spacing, LARGEST + 1, spacing)
    table[coarse] += offsets[np.minimum(np.arange(len(coarse)), POINTS - 1)]
    return cast(FloatArray, table[magnitudes])


def fit(problem: Problem, levels: IntArray) -> Model:
    """The model of a choice of magnitudes."""
    coarse = -(-levels // problem.spacing)
    means = mean_codes(problem.scan, problem.classes, coarse)
    contexts = contexts_of(problem.scan, problem.classes, means, coarse)
    size = int(levels.max(initial=0)) + 1
    counts = np.bincount(contexts * size + levels, minlength=CONTEXTS * size)
    return Model(means, _points(problem, levels), fit_tables(counts.reshape(CONTEXTS, size)))


def choose(problem: Problem, model: Model | None, price: float) -> IntArray:
    """The magnitudes that minimise weighted error + price x bits.

    Each is nothing, or one of the two neighbours on the fine or on the coarse grid.

    Parameters
    ----------
    model
        Whose costs and points are reckoned with; None at first.
    price
        Error that one bit is worth (lambda).
    """
    spacing = problem.spacing
    below = np.minimum(problem.magnitudes, LARGEST - spacing).astype(np.int64)
    candidates = [np.zeros_like(below), below, below + 1]
    if spacing > 1:
        coarse = below // spacing * spacing
        candidates += [coarse, coarse + spacing]
    points = np.full(POINTS, 128) if model is None else model.points
    errors = [
        problem.weights * (problem.magnitudes - reconstruct(levels, points, spacing)) ** 2
        for levels in candidates
    ]
    size = int(below.max(initial=0)) + spacing + 1
    if model is None:
        return _cheapest(candidates, errors, np.float32(price) * _first_costs(size, spacing))
    table = (np.float32(price) * costs(model.tables, size)).ravel()
    activity = Activity(problem.scan, problem.classes, model.means)
    best = np.empty_like(below)
    for step, part in enumerate(problem.scan.steps):
        rows = activity.contexts(step) * size
        best[part] = _cheapest(
            [levels[part] for levels in candidates], [each[part] for each in errors], table, rows
        )
        activity.add(step, -(-best[part] // spacing))
    return best


def _first_costs(size: int, spacing: int) -> FloatArray:
    none, first, more, fine = _FIRST_BITS
    levels = np.arange(size, dtype=np.float32)
    bits = first + more * (levels / np.float32(spacing) - 1) + fine * (levels % spacing > 0)
    bits[0] = none
    return bits.astype(np.float32)


def _cheapest(
    candidates: list[IntArray],
    errors: list[FloatArray],
    table: FloatArray,
    rows: IntArray | int = 0,
) -> IntArray:
    """Of each coordinate's candidates the one of least error + cost, the first at ties."""
    best: IntArray = candidates[0]
    least = errors[0] + table[candidates[0] + rows]
    for levels, error in zip(candidates[1:], errors[1:], strict=True):
        total = error + table[levels + rows]
        better = total < least
        best, least = np.where(better, levels, best), np.where(better, total, least)
    return best


def _points(problem: Problem, levels: IntArray) -> IntArray:
    """Codes of the points that minimise the weighted error: the centroids of their levels."""
    kind = np.minimum(levels // problem.spacing, POINTS)
    kind[levels % problem.spacing > 0] = 0
    weights = np.bincount(kind, problem.weights, minlength=POINTS + 1)[1:]
    off = problem.weights * (problem.magnitudes - levels)
    sums = np.bincount(kind, off, minlength=POINTS + 1)[1:]
    offsets = np.divide(sums, weights * problem.spacing, out=np.zeros(POINTS), where=weights > 0)
    codes: IntArray = np.clip(np.rint(128 + 256 * offsets), 0, 255).astype(np.int64)
    return codes
