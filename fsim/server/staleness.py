"""Weights of updates that were computed from old versions of the global adapter.

Staleness is the number of versions that the server has made since the one that the client began
with. The functions are those of Xie et al., "Asynchronous Federated Optimization", 2019, section 5;
FedBuff (Nguyen et al., AISTATS 2022) uses the polynomial with exponent 0.5.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict
from typing_extensions import override

from fsim.core.registry import Registry


class Staleness(ABC):
    """A weight by staleness: a frozen dataclass whose fields are its options."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    name: ClassVar[str]

    @abstractmethod
    def weight(self, staleness: int) -> float:
        """From 0 to 1, and never more for an older update.

        Parameters
        ----------
        staleness
            Versions, 0 or more.

        Raises
        ------
        ValueError
            A negative staleness.
        """


@dataclass(frozen=True)
class Constant(Staleness):
    """Every update counts the same: 1."""

    name: ClassVar[str] = "constant"

    @override
    def weight(self, staleness: int) -> float:
        _check(staleness)
        return 1.0


@dataclass(frozen=True)
class Polynomial(Staleness):
    """``(1 + s)^-a``.

    Attributes
    ----------
    exponent
        ``a``, 0 or more.
    """

    name: ClassVar[str] = "polynomial"

    exponent: float = 0.5

    def __post_init__(self) -> None:
        _check_option("exponent", self.exponent)

    @override
    def weight(self, staleness: int) -> float:
        _check(staleness)
        return float((1.0 + staleness) ** -self.exponent)


@dataclass(frozen=True)
class Hinge(Staleness):
    """1 up to a staleness of ``b``, then ``1 / (a (s - b) + 1)``.

    Attributes
    ----------
    slope
        ``a``, 0 or more.
    free
        ``b``, versions that cost nothing, 0 or more.
    """

    name: ClassVar[str] = "hinge"

    slope: float = 10.0
    free: float = 4.0

    def __post_init__(self) -> None:
        _check_option("slope", self.slope)
        _check_option("free", self.free)

    @override
    def weight(self, staleness: int) -> float:
        _check(staleness)
        return 1.0 / (self.slope * max(0.0, staleness - self.free) + 1.0)


STALENESS: Registry[Staleness] = Registry(
    "staleness",
    Staleness,
    "fsim.server.staleness.Staleness",
    (Constant, Polynomial, Hinge),
)
"""Name -> weight."""


def _check(staleness: int) -> None:
    if staleness < 0:
        raise ValueError(f"staleness: found {staleness}, allowed is 0 or more")


def _check_option(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name}: found {value}, allowed is 0 or more")
