"""The order in which levels are coded, and what a decoder can tell of the next from the last.

A low-rank factor has few rows (or columns), its rank, and many columns (or rows), a neuron each.
What matters to the loss at one rank matters at the others: of the logarithm of the Fisher of a
factor A, its neurons explain half to three quarters. So levels are coded rank by rank, all matrices
side by side, and each in a context: how large the levels of its neuron were at the ranks before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fsim.core.types import Layout

CLASSES = 16
"""Kinds of matrices: a matrix's class says how large the levels of its neurons are at first."""

EDGES = np.array(
    [41, 82, 164, 287, 451, 655, 901, 1229, 1638, 2048, 2662, 3277, 4096, 5325, 6963],
    dtype=np.int64,
)
"""Where the next context begins, in 4096ths of the mean level of a neuron."""

CONTEXTS = len(EDGES) + 1

_UNIT = 4096
_CAP = 3
"""Levels count as at most this: one large level says little of the next."""
_WEIGHT = 2
"""The class's mean counts as much as so many levels of the neuron itself."""
_MOST_STEPS = 64
"""A matrix with more ranks than this is coded in one step: it is no low-rank factor."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scan:
    """A layout's coordinates in the order in which they are coded.

    Attributes
    ----------
    order
        Position in the flat vector of each coordinate, in order of coding.
    matrix, neuron
        Number of the matrix and neuron that each belongs to, in the same order.
    steps
        Slices of that order in which no neuron has two coordinates.
    matrices, neurons
        How many there are.
    """

    order: IntArray
    matrix: IntArray
    neuron: IntArray
    steps: tuple[slice, ...]
    matrices: int
    neurons: int


@lru_cache(maxsize=8)
def scan_of(layout: Layout) -> Scan:
    """The order of a layout: by rank, then matrix, then neuron."""
    ranks, matrices, neurons, first = [], [], [], 0
    for number, spec in enumerate(layout.tensors):
        if spec.size == 0:
            continue
        rows = spec.shape[0] if len(spec.shape) > 1 else 1
        rank, neuron = np.divmod(np.arange(spec.size, dtype=np.int64), spec.size // rows)
        if rows > spec.size // rows:
            rank, neuron = neuron, rank
        if int(rank[-1]) >= _MOST_STEPS:
            rank, neuron = np.zeros_like(rank), np.arange(spec.size, dtype=np.int64)
        ranks.append(rank)
        matrices.append(np.full(spec.size, number, dtype=np.int64))
        neurons.append(first + neuron)
        first += int(neuron.max()) + 1
    rank = np.concatenate([np.empty(0, np.int64), *ranks])
    matrix = np.concatenate([np.empty(0, np.int64), *matrices])
    neuron = np.concatenate([np.empty(0, np.int64), *neurons])
    order = np.lexsort((neuron, rank))
    bounds = np.searchsorted(rank[order], np.arange(int(rank.max(initial=-1)) + 2))
    steps = tuple(slice(int(begin), int(end)) for begin, end in pairwise(bounds))
    return Scan(order, matrix[order], neuron[order], steps, len(layout.tensors), first)


class Activity:
    """Size of each neuron's levels so far, from which contexts follow.

    Parameters
    ----------
    classes
        Of each matrix.
    means
        Codes of the mean level of each class, shape ``(CLASSES,)``: r stands for r^2 / 16384.
    """

    def __init__(self, scan: Scan, classes: IntArray, means: IntArray) -> None:
        self._scan = scan
        self._sums = np.zeros(scan.neurons, dtype=np.int64)
        # In 4096ths, so that all of it is integers, the same on every machine.
        prior = _WEIGHT * (means * means // 4)
        self._prior = prior[classes]

    def contexts(self, step: int) -> IntArray:
        """The context, 0 to 15, of each coordinate of a step; all steps before must be added."""
        part = self._scan.steps[step]
        sums = self._prior[self._scan.matrix[part]] + _UNIT * self._sums[self._scan.neuron[part]]
        # a >= e where a = sums / (weight + step), without dividing.
        return np.searchsorted(EDGES * (_WEIGHT + step), sums, side="right")

    def add(self, step: int, magnitudes: npt.NDArray[Any]) -> None:
        """Take note of a step's levels."""
        part = self._scan.steps[step]
        self._sums[self._scan.neuron[part]] += np.minimum(magnitudes, _CAP)


def mean_codes(scan: Scan, classes: IntArray, magnitudes: npt.NDArray[Any]) -> IntArray:
    """The codes of each class's mean level; 0 for a class that no matrix has."""
    of_each = classes[scan.matrix]
    sums = np.bincount(of_each, np.minimum(magnitudes, _CAP), minlength=CLASSES)
    counts = np.maximum(np.bincount(of_each, minlength=CLASSES), 1)
    return np.minimum(np.rint(np.sqrt(sums / counts * 16384)), 255).astype(np.int64)


def contexts_of(
    scan: Scan, classes: IntArray, means: IntArray, magnitudes: npt.NDArray[Any]
) -> IntArray:
    """The context of every coordinate, when all levels are known."""
    activity = Activity(scan, classes, means)
    contexts = np.empty(len(scan.order), dtype=np.int64)
    for step, part in enumerate(scan.steps):
        contexts[part] = activity.contexts(step)
        activity.add(step, magnitudes[part])
    return contexts
