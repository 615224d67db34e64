"""``uniform``: every available client equally likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.server.selection.base import Selector


def uniform(clients: int, count: int, rng: np.random.Generator) -> list[int]:
    """``count`` different clients of 0 to ``clients - 1``, each equally likely, in ascending order.

    Raises
    ------
    ValueError
        More than there are.
    """
    return sorted(rng.choice(clients, size=count, replace=False).tolist())


@dataclass
class Uniform(Selector):
    """McMahan et al., AISTATS 2017, algorithm 1: a random set of clients.

    With everyone available, the draws are those of :func:`uniform`.
    """

    name: ClassVar[str] = "uniform"
    timeless: ClassVar[bool] = True

    def _choose(
        self, round_number: int, available: Sequence[int], count: int, rng: np.random.Generator
    ) -> list[int]:
        return [available[place] for place in uniform(len(available), count, rng)]
