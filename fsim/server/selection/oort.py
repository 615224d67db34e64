"""``oort``: clients that are useful to learn from and quick enough."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fsim.server.selection.base import Array, Clients, Selector, as_array, draw


@dataclass
class Oort(Selector):
    """Lai et al., "Oort: Efficient Federated Learning via Guided Participant Selection", OSDI 2021.

    Algorithm 1. A client's utility is ``(U_i + sqrt(0.1 log R / L_i)) * (T / t_i)^alpha``, the last
    factor only if it took longer than the preferred T: ``U_i`` is its statistical utility, ``R``
    the round, ``L_i`` the round that it last answered in. Of those known, ``1 - epsilon`` of the
    wanted are drawn by utility among all whose utility is at least ``cutoff`` times the last that
    would make it; the others are drawn by speed among those that were never heard.

    The paper's ``U_i = |B_i| sqrt(mean of squared losses)`` needs each example's loss; here it is
    ``|B_i|`` times the mean loss, the same if all examples have the same loss and less otherwise.
    ``T`` and the pacer's step are quantiles of the durations known instead of seconds, so that one
    default serves fleets of any speed. Left out: the blacklist of clients chosen too often, the
    fairness knob, noise on utilities, and categories of test data.

    Attributes
    ----------
    alpha
        Exponent of the penalty on slow clients, 0 or more.
    exploration, decay, least_exploration
        The share epsilon for clients never heard is ``exploration * decay^(round - 1)``, but not
        less than ``least_exploration``; each 0 to 1.
    cutoff
        ``c`` of the paper, more than 0 to 1.
    clip
        Statistical utilities above this quantile count as this quantile; more than 0 to 1.
    preferred
        The quantile of durations that is T at first, more than 0 to 1.
    pacer_rounds
        W of the paper, 1 to 10,000: every W rounds, T grows if the statistical utility gathered in
        them is less than in the W before.
    pacer_step
        By how much its quantile grows, 0 to 1; 0 turns the pacer off.
    """

    name: ClassVar[str] = "oort"

    alpha: float = 2.0
    exploration: float = 0.9
    decay: float = 0.98
    least_exploration: float = 0.2
    cutoff: float = 0.95
    clip: float = 0.95
    preferred: float = 0.3
    pacer_rounds: int = 20
    pacer_step: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"alpha: found {self.alpha}, allowed is 0 or more")
        for name in ("exploration", "decay", "least_exploration", "pacer_step"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: found {getattr(self, name)}, allowed are 0 to 1")
        for name in ("cutoff", "clip", "preferred"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(
                    f"{name}: found {getattr(self, name)}, allowed are more than 0 to 1"
                )
        if not 1 <= self.pacer_rounds <= 10_000:
            raise ValueError(f"pacer_rounds: found {self.pacer_rounds}, allowed are 1 to 10000")
        self._quantile = self.preferred
        self._gathered: deque[float] = deque(maxlen=2 * self.pacer_rounds)
        self._round = 0

    @override
    def observe(
        self, client: int, round_number: int, *, loss: float | None, examples: float, seconds: float
    ) -> None:
        super().observe(client, round_number, loss=loss, examples=examples, seconds=seconds)
        if loss is not None and self._gathered:
            self._gathered[-1] += examples * max(loss, 0.0)

    def epsilon(self, round_number: int) -> float:
        """The share of the wanted that is for clients never heard."""
        decayed = self.exploration * self.decay ** (round_number - 1)
        return max(self.least_exploration, decayed)

    def preferred_seconds(self) -> float:
        """T: the pacer's quantile of the last durations of all clients heard, at least one."""
        return float(np.quantile(self.history.seconds[self.history.heard()], self._quantile))

    def utility(self, clients: Clients, round_number: int) -> Array:
        """Utility of clients that have answered with a loss, in the order given."""
        history = self.history
        statistical = history.examples * np.maximum(history.loss, 0.0)
        bound = np.quantile(statistical[history.heard()], self.clip)
        statistical = np.minimum(statistical[clients], bound)
        last = np.maximum(history.last_round[clients], 1)
        uncertainty = np.sqrt(0.1 * math.log(max(round_number, 1)) / last)
        slowness = history.seconds[clients] / self.preferred_seconds()
        return (statistical + uncertainty) * np.maximum(slowness, 1.0) ** -self.alpha

    def _choose(
        self, round_number: int, available: Sequence[int], count: int, rng: np.random.Generator
    ) -> list[int]:
        self._pace(round_number)
        clients = as_array(available)
        heard = ~np.isnan(self.history.values_of(self.history.loss, clients))
        old, new = clients[heard], clients[~heard]
        # Rounded by chance: where one client at a time is wanted, epsilon is still its share.
        explore = math.floor(self.epsilon(round_number) * count + rng.random())
        explore = min(len(new), max(explore, count - len(old)))
        return self._exploit(old, round_number, count - explore, rng) + self._explore(
            new, explore, rng
        )

    def _exploit(
        self, clients: Clients, round_number: int, count: int, rng: np.random.Generator
    ) -> list[int]:
        if not count:
            return []
        utility = self.utility(clients, round_number)
        admitted = utility >= self.cutoff * np.sort(utility)[-count]
        return draw(clients[admitted], utility[admitted], count, rng)

    def _explore(self, clients: Clients, count: int, rng: np.random.Generator) -> list[int]:
        if not count:
            return []
        seconds = self.history.values_of(self.history.seconds, clients)
        durations = seconds[~np.isnan(seconds)]
        usual = float(np.median(durations)) if len(durations) else 1.0
        # A duration of less than a nanosecond is no more likely than one of it.
        seconds = np.maximum(np.nan_to_num(seconds, nan=usual), 1e-9)
        return draw(clients, 1.0 / seconds, count, rng)

    def _pace(self, round_number: int) -> None:
        """Begin the sum of a round's utility; with both windows full, compare them."""
        if round_number == self._round:
            return
        self._round = round_number
        gathered, rounds = list(self._gathered), self.pacer_rounds
        if len(gathered) == 2 * rounds:
            if sum(gathered[rounds:]) < sum(gathered[:rounds]):
                self._quantile = min(1.0, self._quantile + self.pacer_step)
            # The next comparison is between rounds under the same T.
            self._gathered.clear()
            self._gathered.extend(gathered[rounds:])
        self._gathered.append(0.0)
