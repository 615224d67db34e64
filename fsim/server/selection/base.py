"""The base of selection rules, and the history of clients that they may use."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

Array = npt.NDArray[np.float64]
Clients = npt.NDArray[np.int64]


class History:
    """Facts that the server has received or seen of its clients, NaN where it has none.

    Attributes
    ----------
    examples
        Training examples, by client.
    seconds
        Length of its last round, before the first an estimate if it gave one.
    loss
        Last training loss.
    last_round
        The last round that it answered in.
    """

    def __init__(self) -> None:
        self.examples = self.seconds = self.loss = self.last_round = np.empty(0)

    def register(self, client: int, examples: float, seconds: float | None) -> None:
        """Write down a client's examples, and its estimate of a round's seconds, if it gave one.

        Raises
        ------
        ValueError
            As :meth:`Selector.register`.
        """
        if not 1 <= examples < math.inf:
            raise ValueError(f"client {client}: found {examples} examples, allowed is 1 or more")
        self._make_room(client)
        self.examples[client] = examples
        if seconds is not None:
            self.seconds[client] = _checked_seconds(client, seconds)

    def observe(
        self, client: int, round_number: int, loss: float | None, examples: float, seconds: float
    ) -> None:
        """Write down the figures of a client that answered.

        Raises
        ------
        ValueError
            As :meth:`Selector.observe`.
        """
        self.register(client, examples, seconds)
        if loss is not None:
            if not math.isfinite(loss):
                raise ValueError(f"client {client}: found a loss of {loss}, allowed is a number")
            self.loss[client] = loss
        self.last_round[client] = round_number

    def values_of(self, values: Array, clients: Clients) -> Array:
        """The values of these clients, NaN where nothing is known."""
        if not len(clients) or clients[-1] < len(values):
            return values[clients]
        column = np.full(len(clients), np.nan)
        inside = clients < len(values)
        column[inside] = values[clients[inside]]
        return column

    def sizes(self, clients: Clients) -> Array:
        """Examples of each of these clients.

        Raises
        ------
        ValueError
            A client that has not registered.
        """
        sizes = self.values_of(self.examples, clients)
        unknown = np.flatnonzero(np.isnan(sizes))
        if len(unknown):
            raise ValueError(f"client {clients[unknown[0]]} has not registered its examples")
        return sizes

    def heard(self) -> Clients:
        """All clients that have answered with a loss."""
        return np.flatnonzero(~np.isnan(self.loss))

    def _make_room(self, client: int) -> None:
        if client < 0:
            raise ValueError(f"client: found {client}, allowed is 0 or more")
        size = len(self.examples)
        if client >= size:
            more = np.full(max(client + 1, 2 * size, 64) - size, np.nan)
            for name in ("examples", "seconds", "loss", "last_round"):
                setattr(self, name, np.concatenate((getattr(self, name), more)))


@dataclass
class Selector(ABC):
    """Chooses clients; its fields are its options, each with a default.

    It knows who is available now, what clients registered with, and what it has observed. Whether a
    client will stay, how fast it will be and what it will learn, it does not.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    name: ClassVar[str]

    timeless: ClassVar[bool] = False
    """True if its choices do not depend on how long clients take."""

    def __post_init__(self) -> None:
        self.history = History()

    def register(self, client: int, *, examples: float, seconds: float | None = None) -> None:
        """Take note of what a client says of itself when it joins.

        Parameters
        ----------
        client
            Clients are numbered from 0, without large gaps: memory is for the largest number.
        examples
            Number of its training examples, 1 or more.
        seconds
            An estimate of how long a round takes it, more than 0.

        Raises
        ------
        ValueError
            A number that is not as above.
        """
        self.history.register(client, examples, seconds)

    def observe(
        self, client: int, round_number: int, *, loss: float | None, examples: float, seconds: float
    ) -> None:
        """Take note of a client that answered.

        Parameters
        ----------
        client, round_number
            Its number, and that of the round, from 1.
        loss
            Its mean training loss in that round, None if it sent none.
        examples, seconds
            As for :meth:`Selector.register`, the seconds as they were.

        Raises
        ------
        ValueError
            A number that is not as above, or a loss that is not finite.
        """
        self.history.observe(client, round_number, loss, examples, seconds)

    def select(
        self, round_number: int, available: Sequence[int], count: int, rng: np.random.Generator
    ) -> list[int]:
        """Choose clients for a round.

        Parameters
        ----------
        round_number
            From 1.
        available
            Clients that are available now and have nothing to do, different, in ascending order; a
            ``range`` will do.
        count
            Number of clients to choose, 0 or more.
        rng
            A stream of this choice alone.

        Returns
        -------
        list of int
            Different clients among the available, ``count`` or all if these are fewer, in ascending
            order.

        Raises
        ------
        ValueError
            A negative count, or a client that had to register and has not.
        """
        if count < 0:
            raise ValueError(f"count: found {count}, allowed is 0 or more")
        count = min(count, len(available))
        return sorted(self._choose(round_number, available, count, rng)) if count else []

    @abstractmethod
    def _choose(
        self, round_number: int, available: Sequence[int], count: int, rng: np.random.Generator
    ) -> list[int]:
        """``count`` of the available in any order, 1 <= count <= len(available)."""


def draw(clients: Clients, weights: Array, count: int, rng: np.random.Generator) -> list[int]:
    """Different clients, one after another, each with probability proportional to its weight.

    Parameters
    ----------
    clients, weights
        Of one length; weights finite and not negative. One that is less than 1e-12 of the largest
        counts as that, so that enough can always be drawn.
    count
        0 to the number of clients.
    """
    if not count:
        return []
    # The largest is 1 so that no weight can make their sum infinite.
    share = np.maximum(weights / max(weights.max(), np.finfo(np.float64).tiny), 1e-12)
    sample: list[int] = rng.choice(clients, count, replace=False, p=share / share.sum()).tolist()
    return sample


def largest(clients: Clients, scores: Array, count: int, rng: np.random.Generator) -> list[int]:
    """The clients of the highest scores; ties are broken by lot.

    Parameters
    ----------
    clients, scores
        Of one length; a score may be infinite but not NaN.
    count
        1 to the number of clients.
    """
    # Only those at or above the last score that makes it need sorting.
    last = np.partition(scores, len(scores) - count)[len(scores) - count]
    clients, scores = clients[scores >= last], scores[scores >= last]
    order = np.lexsort((rng.random(len(clients)), -scores))
    best: list[int] = clients[order[:count]].tolist()
    return best


def as_array(available: Sequence[int]) -> Clients:
    """The available clients as an array."""
    if isinstance(available, range):
        return np.arange(available.start, available.stop, available.step, dtype=np.int64)
    return np.asarray(available, dtype=np.int64)


def _checked_seconds(client: int, seconds: float) -> float:
    if not 0 < seconds < math.inf:
        raise ValueError(f"client {client}: found {seconds} s, allowed is more than 0")
    return seconds
