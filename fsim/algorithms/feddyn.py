"""FedDyn: each client's loss is regularised anew every round, towards an optimum that all share.

Acar et al., "Federated Learning Based on Dynamic Regularization", ICLR 2021, algorithm 1. A client
minimises its loss less ``<g_i, w>`` plus ``alpha / 2 |w - x|^2``, ``x`` being the adapter that it
was sent, and then takes ``g_i - alpha delta_i`` for its ``g_i``: where training is exact, the
gradient of its loss at where it arrived. The server keeps ``h``, the mean of all ``g_i``, and takes
the mean of what clients arrived at, less ``h / alpha``. All begin at zero, and nothing travels but
adapters and updates.

``delta_i`` is the update as the server decoded it, which its sender knows as well, at both ends:
so ``h`` is the mean of the ``g_i`` whatever compression loses. A client takes its new ``g_i`` only
if its update entered the global adapter, for the same reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.algorithms.base import (
    Algorithm,
    AlgorithmState,
    ClientSide,
    ClientValues,
    Conditions,
    Federation,
)
from fsim.core.types import GradientCorrection, Update
from fsim.server.aggregation import Aggregation
from fsim.server.protocols.base import ClientUpdate


@dataclass(frozen=True)
class FedDyn(Algorithm):
    """Regularise each client's loss by what its earlier rounds came to.

    Attributes
    ----------
    alpha
        Of the regularisation, more than 0: the more, the less a client moves in a round.
    """

    name: ClassVar[str] = "feddyn"

    alpha: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.alpha < math.inf:
            raise ValueError(f"alpha: found {self.alpha}, allowed is more than 0")

    def check(self, conditions: Conditions) -> None:
        """Refuse what its two sides do not fit."""
        if conditions.proximal:
            raise self.contradiction(
                f"training.proximal: {conditions.proximal:g}", "0, as alpha pulls already"
            )
        self.check_client_values(
            conditions,
            weighed="the server's state weighs clients",
            whole="an update, whose sender has to know what arrived",
        )

    def begin(self, federation: Federation) -> FedDynState:
        """All gradients at zero."""
        return FedDynState(federation, self.alpha)


class FedDynState(AlgorithmState):
    """The gradients that clients keep, and the mean that the server does.

    Parameters
    ----------
    federation
        Of the run.
    alpha
        Of the regularisation.

    Attributes
    ----------
    gradients
        All ``g_i``, and ``h``.
    """

    def __init__(self, federation: Federation, alpha: float) -> None:
        self.gradients = ClientValues(federation)
        self._alpha = alpha

    def client(
        self, client: int, round_number: int, trained: Iterable[str], repeat: int
    ) -> FedDynClient:
        """The client with its own gradient."""
        return FedDynClient(gradient=self.gradients.of(client), alpha=self._alpha)

    def accept(self, arrivals: Sequence[ClientUpdate]) -> None:
        """Change the gradients of the clients whose updates enter, and their mean."""
        rate = np.float32(-self._alpha)
        self.gradients.change(
            [
                (arrival.client, {name: rate * delta for name, delta in arrival.update.items()})
                for arrival in arrivals
                if arrival.update is not None
            ]
        )

    def mean(
        self,
        aggregation: Aggregation,
        updates: Sequence[Update],
        arrivals: Sequence[ClientUpdate],
        *,
        selected: Sequence[float] | None = None,
        scales: Sequence[float] | None = None,
    ) -> Update:
        """The mean less ``h / alpha``."""
        mean = super().mean(aggregation, updates, arrivals, selected=selected, scales=scales)
        share = np.float32(1 / self._alpha)
        return {name: values - share * self.gradients.server[name] for name, values in mean.items()}


@dataclass(frozen=True, kw_only=True)
class FedDynClient(ClientSide):
    """A client's gradient, in one round.

    Attributes
    ----------
    gradient
        ``g_i``.
    alpha
        Of the regularisation.
    """

    gradient: Update
    alpha: float

    def correction(self) -> GradientCorrection:
        """``-g_i``, and ``alpha`` times what training has changed so far."""
        constant = {name: -values for name, values in self.gradient.items()}
        return GradientCorrection(constant, proximal=self.alpha)
