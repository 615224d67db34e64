"""A trace that never changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.network.generators.base import TraceGenerator
from fsim.network.generators.scores import Floats


@dataclass(frozen=True)
class ConstantTrace(TraceGenerator):
    """One rate at all times.

    Attributes
    ----------
    rate
        Mbit/s.
    """

    name: ClassVar[str] = "constant"

    rate: float

    def rates(self, seconds: int, rng: np.random.Generator) -> Floats:
        """Rates of consecutive seconds, Mbit/s, shape (seconds,); draws nothing."""
        return np.full(seconds, self.rate)
