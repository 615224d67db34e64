"""FedNova: the normalised average, under which clients that make more steps pull no harder.

Wang et al., "Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization",
NeurIPS 2020. Its clients train as they do; the server divides what each sent by how many gradients
its local steps add up to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from fsim.algorithms.base import Algorithm, AlgorithmState, Conditions, Federation
from fsim.core.types import Update
from fsim.server.aggregation import Aggregation, WeightedMean, weighted_sum
from fsim.server.protocols.base import ClientUpdate


@dataclass(frozen=True)
class FedNova(Algorithm):
    """Normalise each update by its client's local steps (:func:`fednova`)."""

    name: ClassVar[str] = "fednova"

    def check(self, conditions: Conditions) -> None:
        """Refuse what has no weights, another norm, or no mean."""
        aggregation, protocol = conditions.aggregation, conditions.protocol
        if not isinstance(aggregation, WeightedMean):
            raise self.contradiction(f"server.aggregation: {aggregation.name}", "fedavg")
        if conditions.proximal:
            raise self.contradiction(f"training.proximal: {conditions.proximal:g}", "0")
        if not protocol.averages:
            raise self.contradiction(
                f"protocol.kind: {protocol.name} with a buffer of 1",
                "a mean of more than one update",
            )

    def begin(self, federation: Federation) -> FedNovaState:
        """It keeps nothing."""
        return FedNovaState()


class FedNovaState(AlgorithmState):
    """FedNova at the server."""

    def mean(
        self,
        aggregation: Aggregation,
        updates: Sequence[Update],
        arrivals: Sequence[ClientUpdate],
        *,
        selected: Sequence[float] | None = None,
        scales: Sequence[float] | None = None,
    ) -> Update:
        """The normalised average, weighted as the rule says.

        Raises
        ------
        TypeError
            A rule without weights, which :meth:`FedNova.check` refuses.
        """
        if not isinstance(aggregation, WeightedMean):
            raise TypeError(f"fednova: {aggregation.name} has no weights to normalise")
        weights, total = aggregation.weigh([arrival.weight for arrival in arrivals], selected)
        norms = [fednova_norm(arrival.steps) for arrival in arrivals]
        mean = fednova(updates, weights, norms, scales=scales, denominator=total)
        coverages = [arrival.coverage for arrival in arrivals]
        return aggregation.of_arrived(mean, weights, coverages, total)


def fednova_norm(steps: int, momentum: float = 0.0) -> float:
    """Number of plain gradients that a client's local steps add up to: ``||a_i||_1``.

    Wang et al., "Tackling the Objective Inconsistency Problem in Heterogeneous Federated
    Optimization", NeurIPS 2020, section 4: with SGD the number of steps; with momentum rho the
    gradient of step k counts ``(1 - rho^(steps - k)) / (1 - rho)`` times, k from 0.

    Raises
    ------
    ValueError
        Fewer than 1 step, or a momentum that is not from 0 to less than 1.
    """
    if steps < 1:
        raise ValueError(f"steps: found {steps}, allowed is 1 or more")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum: found {momentum}, allowed are 0 to less than 1")
    rest = 1 - momentum
    return (steps - momentum * (1 - momentum**steps) / rest) / rest


def fednova(
    updates: Sequence[Update],
    weights: Sequence[float],
    norms: Sequence[float],
    effective_steps: float | None = None,
    scales: Sequence[float] | None = None,
    denominator: float | Literal["received"] = "received",
) -> Update:
    """The normalised average: clients that did more steps do not pull harder.

    Wang et al., NeurIPS 2020, equation 7: ``tau_eff * sum of p_i delta_i / ||a_i||_1`` with ``p_i``
    the weights over their sum. If all norms are the same this is FedAvg, to the bit.

    Parameters
    ----------
    updates, weights
        As for :func:`fsim.server.aggregation.fedavg`.
    norms
        ``||a_i||_1`` of each client, more than 0; see :func:`fednova_norm`.
    effective_steps
        ``tau_eff``, more than 0; None for the weighted mean of the norms, the paper's choice.
    scales, denominator
        Staleness, and what the weights are divided by, as for
        :func:`fsim.server.aggregation.fedbuff`; None scales nothing.

    Raises
    ------
    ValueError
        As for ``fedavg``, or norms or effective steps that are not as above.
    """
    if not len(updates) == len(weights) == len(norms):
        raise ValueError(
            f"cannot average {len(updates)} updates with {len(weights)} weights "
            f"and {len(norms)} norms"
        )
    if not all(0 < norm < math.inf for norm in norms):
        raise ValueError("norms: allowed are finite numbers of more than 0")
    if not (weights and min(weights) >= 0 and 0 < float(np.sum(weights)) < math.inf):
        raise ValueError("weights: allowed are finite numbers of 0 or more, not all 0")
    if effective_steps is None:
        # A mean of equal numbers may differ from them by a rounding.
        same = min(norms) == max(norms)
        effective_steps = norms[0] if same else float(np.dot(weights, norms) / np.sum(weights))
    if not 0 < effective_steps < math.inf:
        raise ValueError(f"effective_steps: found {effective_steps}, allowed is more than 0")
    total = float(np.sum(weights)) if denominator == "received" else denominator
    scales = [1.0] * len(weights) if scales is None else scales
    factors = [
        weight * scale / total * (effective_steps / norm)
        for weight, scale, norm in zip(weights, scales, norms, strict=True)
    ]
    return weighted_sum(updates, factors)
