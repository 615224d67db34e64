"""The few types that several rooms speak of: an adapter's update, its layout, its sensitivities."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Update = dict[str, FloatArray]
"""Float32 arrays by tensor name: an adapter, its delta, or anything of the same shapes."""

Coverage = dict[str, npt.NDArray[np.bool_]]
"""By tensor name, which coordinates of an update arrived."""


@dataclass(frozen=True)
class TensorSpec:
    """Name and shape of one adapter matrix."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Layout:
    """Names and shapes of an adapter's matrices, in the order in which they are serialised.

    Server and clients share it before the first round, so it is never sent.
    """

    tensors: tuple[TensorSpec, ...]

    @classmethod
    def of(cls, update: Update) -> Layout:
        """The layout of an update, sorted by name."""
        return _layout(tuple((name, update[name].shape) for name in sorted(update)))

    @cached_property
    def size(self) -> int:
        """Number of coordinates in all matrices."""
        return sum(spec.size for spec in self.tensors)

    @cached_property
    def bounds(self) -> npt.NDArray[np.int64]:
        """Beginning of each matrix in the flat vector, and the total last."""
        return np.cumsum([0, *(spec.size for spec in self.tensors)], dtype=np.int64)

    @cached_property
    def digest(self) -> int:
        """A 32-bit checksum of all names and shapes."""
        text = ";".join(f"{spec.name}:{spec.shape}" for spec in self.tensors)
        return zlib.crc32(text.encode("utf-8"))

    def flatten(self, update: Update) -> FloatArray:
        """All coordinates as one vector of ``size`` float32 values.

        Raises
        ------
        ValueError
            The update's names or shapes are not those of this layout.
        """
        if Layout.of(update) != self:
            raise ValueError("the update does not have the layout's tensors")
        parts = [update[spec.name].ravel() for spec in self.tensors]
        return np.concatenate(parts).astype(np.float32, copy=False)

    def unflatten(self, vector: npt.NDArray[Any]) -> Update:
        """The inverse of :meth:`flatten`.

        Raises
        ------
        ValueError
            The vector does not have ``size`` coordinates.
        """
        if vector.shape != (self.size,):
            raise ValueError(f"expected a vector of {self.size} coordinates, got {vector.shape}")
        return {
            spec.name: vector[begin:end].reshape(spec.shape).astype(np.float32, copy=False)
            for spec, begin, end in zip(self.tensors, self.bounds, self.bounds[1:], strict=False)
        }


@lru_cache(maxsize=256)
def _layout(tensors: tuple[tuple[str, tuple[int, ...]], ...]) -> Layout:
    """One for all updates of the same tensors, which works out once what it is asked."""
    return Layout(tuple(TensorSpec(name, shape) for name, shape in tensors))


@dataclass(frozen=True)
class SensitivitySettings:
    """Settings of sensitivities: what training measures, and how that changes it (Fed-FSTQ).

    The paper leaves some choices open; each is a setting here.

    Attributes
    ----------
    token_ratio
        Share of the token positions that are kept between refresh steps (r_tok); 1 leaves training
        as it is.
    refresh_every
        Local steps from one full-loss refresh step to the next (H).
    smoothing
        Weight of the past in both moving averages (rho).
    by
        What a sensitivity is kept for: ``"token"``, a vocabulary id, since sequences of different
        content share no positions; or ``"position"``, the place in the sequence.
    mask
        What the mask falls on: ``"targets"``, scored positions, whose loss is left out; or
        ``"inputs"``, positions of the prompt, which are taken out of the sequence.
    weights
        ``"hard"``: kept or not. ``"soft"``: every scored position keeps its loss, weighted by its
        sensitivity over the row's mean; ``token_ratio`` is not used.
    reduction
        Filtered loss as the ``"mean"`` over the positions kept, or as their ``"sum"`` over the
        number of rows.
    first
        Before a round has seen H steps: ``"refresh"``, its first step is a refresh step; or
        ``"full"``, nothing is masked until step H.
    fisher_average
        Squared gradients as a moving average (``"ema"``) or a ``"sum"``.
    recall
        Measure Token Recall: of this share of the tokens that the mask falls on, those to which the
        unfiltered loss is the most sensitive at the same parameters, how many the mask keeps. It
        takes another pass in every filtered step, which is not billed, and changes nothing that is
        trained; 0 measures nothing.
    """

    token_ratio: float = 1.0
    refresh_every: int = 10
    smoothing: float = 0.9
    by: Literal["token", "position"] = "token"
    mask: Literal["targets", "inputs"] = "targets"
    weights: Literal["hard", "soft"] = "hard"
    reduction: Literal["mean", "sum"] = "mean"
    first: Literal["refresh", "full"] = "refresh"
    fisher_average: Literal["ema", "sum"] = "ema"
    recall: float = 0.0


@dataclass(frozen=True)
class MergingSettings:
    """Settings of merging tokens of the prompt in training (ToMe).

    Attributes
    ----------
    keep
        Share of a prompt's tokens, its first and last not counted, that are left after merging, 0.5
        to 1; the number is rounded up.
    after
        Layers of the model that still see every token, at least 1; then tokens merge, once.
    proportional
        Whether a merged token attracts attention in proportion to its size.
    """

    keep: float = 0.5
    after: int = 1
    proportional: bool = True


@dataclass(frozen=True)
class BinarisationSettings:
    """Settings of learning an update of which only signs and step sizes are sent (FedBAT).

    The rule is that of :mod:`fsim.training.binarisation`.

    Attributes
    ----------
    warmup
        Share of a client's local steps that come first and are of full precision (phi), 0 to 1.
    coefficient
        How fast a step size is learned (rho); 0 keeps it where it began.
    smallest, largest
        Bounds on every step size.
    """

    warmup: float = 0.5
    coefficient: float = 6.0
    smallest: float = 5e-4
    largest: float = 5e-2


@dataclass(frozen=True)
class TrainingRequest:
    """Request of a policy to local training; nothing leaves it as it is.

    Attributes
    ----------
    sensitivity
        Sensitivities to measure, and to filter tokens by.
    merging
        How tokens merge.
    binarisation
        An update to learn as signs and step sizes.
    """

    sensitivity: SensitivitySettings | None = None
    merging: MergingSettings | None = None
    binarisation: BinarisationSettings | None = None


@dataclass(frozen=True)
class GradientCorrection:
    """Correction that an algorithm adds to every gradient of a client's local training.

    Attributes
    ----------
    constant
        The same in all steps of a round, of all the adapter's tensors.
    proximal
        Times the adapter less the one that training began with: half of this times their squared
        distance is added to what is minimised.
    """

    constant: Update
    proximal: float = 0.0
