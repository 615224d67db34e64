"""``data-size``: clients with more examples are chosen more often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.server.selection.base import Selector, as_array, draw


@dataclass
class DataSize(Selector):
    """One after another, each with probability proportional to its examples among those left.

    Clients must have registered. Li et al., "On the Convergence of FedAvg on Non-IID Data", ICLR
    2020, scheme I draws so with replacement, and then averages without weights; a client cannot
    train twice at a time, so here it is without.
    """

    name: ClassVar[str] = "data-size"
    timeless: ClassVar[bool] = True

    def _choose(
        self, round_number: int, available: Sequence[int], count: int, rng: np.random.Generator
    ) -> list[int]:
        clients = as_array(available)
        return draw(clients, self.history.sizes(clients), count, rng)
