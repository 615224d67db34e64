"""Server optimisers: from the mean update to the step that moves the global adapter.

Reddi et al., "Adaptive Federated Optimization", ICLR 2021, algorithm 2: the mean delta plays the
part of a negative gradient. Hsu et al., "Measuring the Effects of Non-Identical Data Distribution
for Federated Visual Classification", 2019, for server momentum (FedAvgM).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from fsim.core.registry import Registry
from fsim.core.types import Update

Array = npt.NDArray[np.float64]
State = dict[str, dict[str, Array]]
"""Float64 arrays by the name of the state (``"momentum"``, ``"variance"``), then by tensor."""


@dataclass
class ServerOptimizer(ABC):
    """From mean updates to steps; its fields are its options, its state starts at the first step.

    Attributes
    ----------
    lr
        Server learning rate, more than 0.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    name: ClassVar[str]

    lr: float

    def __post_init__(self) -> None:
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr: found {self.lr}, allowed is more than 0")
        self._state: State = {}

    def step(self, mean_delta: Update) -> Update:
        """The step to add to the adapter, and one step of the state.

        Parameters
        ----------
        mean_delta
            The aggregated update.

        Raises
        ------
        ValueError
            Not the tensors of the steps before.
        """
        if not self._state:
            self._state = {
                key: {
                    name: np.full(array.shape, first, np.float64)
                    for name, array in mean_delta.items()
                }
                for key, first in self._initial().items()
            }
        for arrays in self._state.values():
            if _shapes(arrays) != _shapes(mean_delta):
                raise ValueError("the mean update does not have the tensors of those before")
        return {
            name: self._step(name, delta.astype(np.float64)).astype(np.float32)
            for name, delta in mean_delta.items()
        }

    def state_dict(self) -> State:
        """A copy of the state; empty before the first step."""
        return {
            key: {name: array.copy() for name, array in arrays.items()}
            for key, arrays in self._state.items()
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from a state as :meth:`state_dict` gave it, to the bit.

        Raises
        ------
        ValueError
            A state that is not of this optimiser with these options.
        """
        if state and set(state) != set(self._initial()):
            names, allowed = ", ".join(state), ", ".join(self._initial()) or "no state"
            raise ValueError(f"state of {self.name}: found {names}, allowed is {allowed}")
        self._state = {
            key: {name: np.array(array, dtype=np.float64) for name, array in arrays.items()}
            for key, arrays in state.items()
        }

    def _initial(self) -> dict[str, float]:
        """State of each coordinate by name, with its value before the first step."""
        return {}

    @abstractmethod
    def _step(self, name: str, delta: Array) -> Array:
        """The step of one tensor; its state is changed in place."""


@dataclass
class FedAvg(ServerOptimizer):
    """``lr * delta``: with lr 1, federated averaging itself."""

    name: ClassVar[str] = "fedavg"

    lr: float = 1.0

    def _step(self, name: str, delta: Array) -> Array:
        return self.lr * delta


@dataclass
class FedAvgM(ServerOptimizer):
    """Server momentum: ``m <- momentum * m + delta``, the step is ``lr * m``.

    Attributes
    ----------
    momentum
        0 to less than 1; with 0 this is :class:`FedAvg`, to the bit.
    nesterov
        The step is ``lr * (delta + momentum * m)``.
    """

    name: ClassVar[str] = "fedavgm"

    lr: float = 1.0
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_decay("momentum", self.momentum)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: found true, allowed with a momentum of more than 0")

    def _initial(self) -> dict[str, float]:
        # 0 * m + delta is not delta to the bit: it loses the sign of a negative zero.
        return {"momentum": 0.0} if self.momentum else {}

    def _step(self, name: str, delta: Array) -> Array:
        if not self.momentum:
            return self.lr * delta
        momentum = self._state["momentum"][name]
        momentum *= self.momentum
        momentum += delta
        return self.lr * (delta + self.momentum * momentum if self.nesterov else momentum)


@dataclass
class Adaptive(ServerOptimizer):
    """``m <- beta1 m + (1 - beta1) delta``, the step is ``lr * m / (sqrt(v) + tau)``.

    Subclasses say how ``v`` follows delta. As in the paper, neither average is corrected for its
    start.

    Attributes
    ----------
    beta1
        0 to less than 1.
    tau
        Degree of adaptivity, more than 0: the larger, the more like momentum alone.
    initial
        ``v`` before the first step, 0 or more; None for ``tau^2``, the least that the paper allows.
    """

    lr: float = 0.01
    beta1: float = 0.9
    tau: float = 1e-3
    initial: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_decay("beta1", self.beta1)
        if not 0 < self.tau < math.inf:
            raise ValueError(f"tau: found {self.tau}, allowed is more than 0")
        if self.initial is not None and not 0 <= self.initial < math.inf:
            raise ValueError(f"initial: found {self.initial}, allowed is 0 or more")

    def _initial(self) -> dict[str, float]:
        return {"momentum": 0.0, "variance": self.tau**2 if self.initial is None else self.initial}

    def _step(self, name: str, delta: Array) -> Array:
        momentum, variance = self._state["momentum"][name], self._state["variance"][name]
        momentum *= self.beta1
        momentum += (1 - self.beta1) * delta
        variance[...] = self._variance(variance, delta * delta)
        return self.lr * momentum / (np.sqrt(variance) + self.tau)

    @abstractmethod
    def _variance(self, variance: Array, square: Array) -> Array:
        """The next ``v``, from this one and the square of delta."""


@dataclass
class FedAdagrad(Adaptive):
    """``v <- v + delta^2``."""

    name: ClassVar[str] = "fedadagrad"

    beta1: float = 0.0

    def _variance(self, variance: Array, square: Array) -> Array:
        return variance + square


@dataclass
class FedAdam(Adaptive):
    """``v <- beta2 v + (1 - beta2) delta^2``.

    Attributes
    ----------
    beta2
        0 to less than 1.
    """

    name: ClassVar[str] = "fedadam"

    beta2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_decay("beta2", self.beta2)

    def _variance(self, variance: Array, square: Array) -> Array:
        return self.beta2 * variance + (1 - self.beta2) * square


@dataclass
class FedYogi(Adaptive):
    """``v <- v - (1 - beta2) delta^2 sign(v - delta^2)``.

    Attributes
    ----------
    beta2
        0 to less than 1.
    """

    name: ClassVar[str] = "fedyogi"

    beta2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_decay("beta2", self.beta2)

    def _variance(self, variance: Array, square: Array) -> Array:
        return variance - (1 - self.beta2) * square * np.sign(variance - square)


OPTIMIZERS: Registry[ServerOptimizer] = Registry(
    "optimizer",
    ServerOptimizer,
    "fsim.server.optimizers.ServerOptimizer",
    (FedAvg, FedAvgM, FedAdagrad, FedAdam, FedYogi),
    frozen=False,
)
"""Name -> optimiser."""


def make_optimizer(name: str, options: Mapping[str, Any]) -> ServerOptimizer:
    """A new optimizer by name; see :func:`fsim.core.registry.choose` for what is raised."""
    return OPTIMIZERS.make(name, options)


def _check_decay(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name}: found {value}, allowed are 0 to less than 1")


def _shapes(arrays: dict[str, Array] | Update) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}
