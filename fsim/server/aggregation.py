"""Combining clients' decoded updates into one step of the global adapter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict
from typing_extensions import override

from fsim.core.registry import Registry
from fsim.core.types import Coverage, Update
from fsim.server.coverage import mean_of_arrived, trimmed_mean_of_arrived


def fedavg(
    updates: Sequence[Update],
    weights: Sequence[float] | None = None,
    denominator: float | Literal["received"] = "received",
) -> Update:
    """The weighted mean of updates.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
    AISTATS 2017, algorithm 1, with the number of each client's examples as its weight.

    Parameters
    ----------
    updates
        At least one, all of the same layout; summed in float64 in the order given.
    weights
        One for each update, none negative, not all zero; None weighs all the same.
    denominator
        What the weighted sum is divided by: the weights of the updates ``"received"``, or a number,
        for example the weight of all clients selected, so that one that is missing counts as an
        update of zeros.

    Raises
    ------
    ValueError
        No update, not as many weights as updates, weights or a denominator that are not as above,
        or updates of different layouts.
    """
    weights = [1.0] * len(updates) if weights is None else weights
    if not updates or len(updates) != len(weights):
        raise ValueError(f"cannot average {len(updates)} updates with {len(weights)} weights")
    received = float(np.sum(weights))
    if not (0 < received < np.inf and min(weights) >= 0):
        raise ValueError("weights: allowed are finite numbers of 0 or more, not all 0")
    total = received if denominator == "received" else float(denominator)
    # Weights that were added up in another order may exceed their sum by a rounding.
    if not received * (1 - 1e-9) <= total < np.inf:
        raise ValueError(
            f"denominator: found {total:g}, allowed is the weight received, {received:g}, or more"
        )
    return weighted_sum(updates, [weight / total for weight in weights])


def weighted_sum(updates: Sequence[Update], factors: Sequence[float]) -> Update:
    """The sum of updates, each times its factor, in float64 in the order given.

    Raises
    ------
    ValueError
        No update, not as many factors as updates, or updates of different layouts.
    """
    if not updates or len(updates) != len(factors):
        raise ValueError(f"cannot sum {len(updates)} updates with {len(factors)} factors")
    check_layouts(updates)
    total = {name: np.zeros(array.shape) for name, array in updates[0].items()}
    for update, factor in zip(updates, factors, strict=True):
        for name, sums in total.items():
            sums += update[name].astype(np.float64) * factor
    return {name: sums.astype(np.float32) for name, sums in total.items()}


def trimmed_mean(
    updates: Sequence[Update], share: float, coverages: Sequence[Coverage | None] = ()
) -> Update:
    """Coordinate by coordinate, the mean without the largest and the smallest values.

    Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML
    2018, definition 2. Every update counts the same: a weight by the data that a client says it has
    would be a way around the trimming.

    Parameters
    ----------
    updates
        At least one, all of the same layout; all of them are held in float64 at once, one tensor at
        a time.
    share
        Of the values that is cut off at each end, from 0 to less than 0.5; that many of ``n``
        updates are ``floor(share * n)``.

    Raises
    ------
    ValueError
        No update, a share that is not as above, or updates of different layouts.
    """
    _check_share(share)
    if not updates:
        raise ValueError("cannot average 0 updates")
    check_layouts(updates)
    mean: Update = {}
    for name in updates[0]:
        values = np.stack([update[name] for update in updates]).astype(np.float64)
        arrived = np.stack([
            np.ones(update[name].shape, dtype=bool) if coverage is None else coverage[name]
            for update, coverage in zip(updates, coverages or [None] * len(updates), strict=True)
        ])  # fmt: skip
        mean[name] = trimmed_mean_of_arrived(values, arrived, share).astype(np.float32)
    return mean


def fedbuff(
    updates: Sequence[Update],
    weights: Sequence[float],
    scales: Sequence[float],
    denominator: float | Literal["received"] = "received",
) -> Update:
    """The mean of a buffer of updates, each scaled down by its staleness.

    Nguyen et al., "Federated Learning with Buffered Asynchronous Aggregation", AISTATS 2022,
    algorithm 1 with the staleness scaling of its experiments: ``1/K sum of s(tau_i) delta_i``. The
    scales are not in the denominator, so a buffer of stale updates moves the adapter less. With
    weights that are not all the same, K becomes their sum, and with scales of 1 this is
    :func:`fedavg`, to the bit.

    Parameters
    ----------
    updates
        The buffer, at least one.
    weights
        One for each update; all 1 in the paper.
    scales
        One for each update, 0 to 1; see :mod:`fsim.server.staleness`.
    denominator
        As for :func:`fedavg`, ``"received"`` being the sum of the weights before scaling.

    Raises
    ------
    ValueError
        As for :func:`fedavg`, or a scale that is not from 0 to 1.
    """
    if not len(updates) == len(weights) == len(scales):
        raise ValueError(
            f"cannot average {len(updates)} updates with {len(weights)} weights "
            f"and {len(scales)} scales"
        )
    if not all(0 <= scale <= 1 for scale in scales):
        raise ValueError("scales: allowed are 0 to 1")
    scaled = [weight * scale for weight, scale in zip(weights, scales, strict=True)]
    total = float(np.sum(weights)) if denominator == "received" else denominator
    return fedavg(updates, scaled, total)


def fedasync(current: Update, base: Update, delta: Update, mixing: float) -> Update:
    """The step that mixes one client's adapter into the global one.

    Xie et al., "Asynchronous Federated Optimization", 2019, algorithm 1: ``x <- (1 - a) x + a x_c``
    where ``x_c`` is what the client arrived at. As a step, ``a (base + delta - current)``: beside
    the client's delta it takes back a share of what the others did since the client began, which
    :func:`fedbuff` does not. For a client that is not stale it is ``a delta``.

    Parameters
    ----------
    current
        The global adapter now.
    base
        The global adapter that the client began with.
    delta
        The client's decoded update, relative to ``base``.
    mixing
        ``a``, 0 to 1: the mixing rate times the staleness weight.

    Raises
    ------
    ValueError
        A mixing weight that is not from 0 to 1, or different layouts.
    """
    if not 0 <= mixing <= 1:
        raise ValueError(f"mixing: found {mixing}, allowed are 0 to 1")
    check_layouts([current, base, delta])
    return {
        name: (
            mixing * (change.astype(np.float64) + (base[name].astype(np.float64) - current[name]))
        ).astype(np.float32)
        for name, change in delta.items()
    }


def add(adapter: Update, step: Update) -> Update:
    """The adapter moved by a step."""
    return {name: adapter[name] + step[name] for name in adapter}


def check_layouts(updates: Sequence[Update]) -> None:
    """Refuse updates of different tensors.

    Raises
    ------
    ValueError
        Names or shapes differ: arrays of different shapes may broadcast, to a wrong sum.
    """
    first = {name: array.shape for name, array in updates[0].items()}
    for update in updates:
        if {name: array.shape for name, array in update.items()} != first:
            raise ValueError("the updates do not have the same tensors")


class Aggregation(ABC):
    """A rule that makes one mean update of those of a round or a buffer.

    A frozen dataclass whose fields are its options.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: ClassVar[str]

    @abstractmethod
    def combine(
        self,
        updates: Sequence[Update],
        examples: Sequence[float],
        *,
        selected: Sequence[float] | None = None,
        scales: Sequence[float] | None = None,
        coverages: Sequence[Coverage | None] = (),
    ) -> Update:
        """The mean update.

        Parameters
        ----------
        updates
            Those received, at least one, all of the same layout.
        examples
            Training examples of the client of each.
        selected
            Training examples of every client selected, those received among them; None if these are
            all.
        scales
            Staleness weight of each update; None if none is stale.
        coverages
            What arrived of each update, None for all of it; without any, all of all. It is given
            only where something was lost on the way, by a transport that may lose packets.

        Raises
        ------
        ValueError
            As for :func:`fedavg`, :func:`fedbuff` and :func:`trimmed_mean`.
        """


@dataclass(frozen=True)
class WeightedMean(Aggregation):
    """The weighted mean (:func:`fedavg`, :func:`fedbuff`).

    Attributes
    ----------
    weights
        ``"examples"``: a client weighs as many times as it has examples; ``"equal"``: once.
    denominator
        The weight of the clients ``"received"`` or of all ``"selected"``: then a client that is
        missing counts as one that changed nothing.
    missing
        A coordinate that was lost on the way: ``"skip"``, the mean is over the clients from whom it
        arrived; or ``"zero"``, it counts as unchanged.
    """

    name: ClassVar[str] = "fedavg"

    weights: Literal["examples", "equal"] = "examples"
    denominator: Literal["received", "selected"] = "received"
    missing: Literal["skip", "zero"] = "skip"

    @override
    def combine(
        self,
        updates: Sequence[Update],
        examples: Sequence[float],
        *,
        selected: Sequence[float] | None = None,
        scales: Sequence[float] | None = None,
        coverages: Sequence[Coverage | None] = (),
    ) -> Update:
        weights, total = self.weigh(examples, selected)
        scales = [1.0] * len(updates) if scales is None else scales
        mean = fedbuff(updates, weights, scales, total)
        return self.of_arrived(mean, weights, coverages, total)

    def of_arrived(
        self,
        mean: Update,
        weights: Sequence[float],
        coverages: Sequence[Coverage | None],
        total: float,
    ) -> Update:
        """A mean in which what is missing is 0, as this rule has it (:func:`mean_of_arrived`)."""
        if self.missing == "zero" or all(coverage is None for coverage in coverages):
            return mean
        return mean_of_arrived(mean, weights, coverages, total)

    def weigh(
        self, examples: Sequence[float], selected: Sequence[float] | None
    ) -> tuple[Sequence[float], float]:
        """The weight of each update, and what their sum is divided by."""
        whole = examples if selected is None or self.denominator == "received" else selected
        if self.weights == "equal":
            examples, whole = [1.0] * len(examples), [1.0] * len(whole)
        return examples, float(np.sum(whole))


@dataclass(frozen=True)
class TrimmedMean(Aggregation):
    """The coordinate-wise trimmed mean (:func:`trimmed_mean`): no weights, no denominator.

    Attributes
    ----------
    share
        Of the values that is cut off at each end, from 0 to less than 0.5.
    missing
        As for ``fedavg``.
    """

    name: ClassVar[str] = "trimmed-mean"

    share: float = 0.1
    missing: Literal["skip", "zero"] = "skip"

    def __post_init__(self) -> None:
        _check_share(self.share)

    @override
    def combine(
        self,
        updates: Sequence[Update],
        examples: Sequence[float],
        *,
        selected: Sequence[float] | None = None,
        scales: Sequence[float] | None = None,
        coverages: Sequence[Coverage | None] = (),
    ) -> Update:
        if scales is not None:
            updates = [
                {name: array * np.float32(scale) for name, array in update.items()}
                for update, scale in zip(updates, scales, strict=True)
            ]
        return trimmed_mean(updates, self.share, () if self.missing == "zero" else coverages)


AGGREGATIONS: Registry[Aggregation] = Registry(
    "aggregation",
    Aggregation,
    "fsim.server.aggregation.Aggregation",
    (WeightedMean, TrimmedMean),
)
"""Name -> aggregation."""


def make_aggregation(name: str, options: Mapping[str, Any]) -> Aggregation:
    """An aggregation by name; see :func:`fsim.core.registry.choose` for what is raised."""
    return AGGREGATIONS.make(name, options)


def _check_share(share: float) -> None:
    if not 0 <= share < 0.5:
        raise ValueError(f"share: found {share}, allowed are 0 to less than 0.5")
