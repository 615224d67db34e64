"""``fastest``: those that took the shortest time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.server.selection.base import Selector, as_array, largest


@dataclass
class Fastest(Selector):
    """The clients of the shortest last duration, or of the shortest estimate before the first.

    A greedy baseline: in the manner of Nishio and Yonetani, "Client Selection for Federated
    Learning with Heterogeneous Resources in Mobile Edge" (FedCS), ICC 2019, without its deadline.
    Clients of whom nothing is known come first, by lot, or they would never be known; once all are,
    the slow ones are never heard again, nor is what only they have.
    """

    name: ClassVar[str] = "fastest"

    def _choose(
        self, round_number: int, available: Sequence[int], count: int, rng: np.random.Generator
    ) -> list[int]:
        clients = as_array(available)
        seconds = self.history.values_of(self.history.seconds, clients)
        return largest(clients, -np.nan_to_num(seconds, nan=0.0), count, rng)
