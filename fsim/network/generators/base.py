"""The base of generators of traces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict

from fsim.network.generators.scores import Floats


class TraceGenerator(ABC):
    """A law of rates in time: a frozen dataclass whose fields are its options."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]

    @abstractmethod
    def rates(self, seconds: int, rng: np.random.Generator) -> Floats:
        """Rates of consecutive seconds, Mbit/s, shape (seconds,).

        Raises
        ------
        TraceError
            Too few seconds for what the law asks.
        """
