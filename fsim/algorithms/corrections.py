"""The server's side of corrections for clients that drift apart: SCAFFOLD and FedNova.

What clients must do for them is written in ``docs/server.md``. FedProx needs nothing here: its term
is in the clients' loss alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict

from fsim.core.registry import choose
from fsim.core.types import Update
from fsim.server.aggregation import check_layouts, fedavg, weighted_sum


@dataclass(frozen=True)
class NoCorrection:
    """Clients drift as they do."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    name: ClassVar[str] = "none"


@dataclass(frozen=True)
class Scaffold:
    """Control variates (:func:`scaffold_control_delta`, :func:`scaffold_control`).

    Attributes
    ----------
    precision
        Of the control variates on their way down and up: a policy's name. What is rounded is
        rounded at both ends alike.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    name: ClassVar[str] = "scaffold"

    precision: Literal["float32", "float16", "bfloat16"] = "float32"


@dataclass(frozen=True)
class FedNova:
    """The normalised average (:func:`fednova`)."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    name: ClassVar[str] = "fednova"


Correction = NoCorrection | Scaffold | FedNova

CORRECTIONS: dict[str, type[Correction]] = {
    correction.name: correction for correction in (NoCorrection, Scaffold, FedNova)
}


def make_correction(name: str, options: Mapping[str, Any]) -> Correction:
    """A correction by name; see :func:`fsim.core.registry.choose` for what is raised."""
    return choose("correction", CORRECTIONS, name, options)


def scaffold_control_delta(
    server_control: Update, delta: Update, steps: int, learning_rate: float
) -> Update:
    """How a client's control variate changes in a round, ``c_i+ - c_i``.

    Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML
    2020, algorithm 1, option II: ``c_i+ = c_i - c + (x - y_i) / (K eta)``. The client's own control
    cancels: who knows K, eta, the control that was sent down and the delta knows the change.

    Parameters
    ----------
    server_control
        ``c`` as the client was sent it.
    delta
        ``y_i - x``, what training changed.
    steps
        ``K``, local SGD steps, 1 or more.
    learning_rate
        ``eta`` of those steps, more than 0.

    Raises
    ------
    ValueError
        Steps or a learning rate that are not as above, or different layouts.
    """
    if steps < 1:
        raise ValueError(f"steps: found {steps}, allowed is 1 or more")
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate: found {learning_rate}, allowed is more than 0")
    check_layouts([server_control, delta])
    return {
        name: (-control.astype(np.float64) - delta[name] / (steps * learning_rate)).astype(
            np.float32
        )
        for name, control in server_control.items()
    }


def scaffold_control(
    server_control: Update, control_deltas: Sequence[Update], clients: int
) -> Update:
    """The server's control variate after a round: ``c + 1/N sum of (c_i+ - c_i)``.

    Karimireddy et al., ICML 2020, algorithm 1. The adapter itself moves by the equally weighted
    mean of the deltas (:func:`fsim.server.aggregation.fedavg` without weights).

    Parameters
    ----------
    server_control
        ``c``, zeros before the first round.
    control_deltas
        Of the clients received, at least one.
    clients
        ``N``: all clients, not those selected.

    Raises
    ------
    ValueError
        Fewer clients than control deltas, no control delta, or different layouts.
    """
    if clients < len(control_deltas):
        raise ValueError(f"clients: found {clients}, allowed is {len(control_deltas)} or more")
    step = fedavg(control_deltas, denominator=float(clients))
    check_layouts([server_control, step])
    return {name: control + step[name] for name, control in server_control.items()}


def fednova_norm(steps: int, momentum: float = 0.0) -> float:
    """How many plain gradients a client's local steps add up to: ``||a_i||_1``.

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
