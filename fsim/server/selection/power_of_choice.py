"""``power-of-choice``: of a few candidates, those with the highest loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.server.selection.base import Selector, as_array, draw, largest


@dataclass
class PowerOfChoice(Selector):
    """The candidates that did worst when last heard.

    Cho et al., "Towards Understanding Biased Client Selection in Federated Learning", AISTATS 2022:
    the variant ``rpow-d``, which costs no message: ``d`` candidates are drawn by data size without
    replacement, and of them those with the highest loss when last heard take part. A loss that is
    not known is infinite. Clients must have registered.

    Attributes
    ----------
    candidates
        ``d`` as a multiple of the clients wanted, 1 or more; with 1 this is ``data-size``.
    """

    name: ClassVar[str] = "power-of-choice"
    timeless: ClassVar[bool] = True

    candidates: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.candidates < float("inf"):
            raise ValueError(f"candidates: found {self.candidates}, allowed is 1 or more")

    def _choose(
        self, round_number: int, available: Sequence[int], count: int, rng: np.random.Generator
    ) -> list[int]:
        clients = as_array(available)
        size = min(len(clients), max(count, round(self.candidates * count)))
        candidates = np.sort(draw(clients, self.history.sizes(clients), size, rng))
        loss = self.history.values_of(self.history.loss, candidates)
        return largest(candidates, np.nan_to_num(loss, nan=np.inf), count, rng)
