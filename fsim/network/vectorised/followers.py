"""Clients on one staircase: the formulas of a single link (:mod:`fsim.network.links`) on arrays.

Each step is that of the formula for a single link, in the same order, so that the numbers are the
same to the last bit (``tests/network/vectorised/test_bank.py``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fsim.core.errors import TraceError
from fsim.network.links.staircase import Staircase

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Followers:
    """Clients that follow the same staircase, and where in the answer theirs belongs.

    ``at`` is a slice where all of the answer is theirs, which spares copying it about.
    """

    steps: Staircase
    clients: Integers
    at: Integers | slice
    scales: Floats
    offsets: Floats

    def part(self, selection: npt.NDArray[Any]) -> Followers:
        """Some of them, by a mask or by positions."""
        at = np.arange(len(self.clients)) if isinstance(self.at, slice) else self.at
        return Followers(
            self.steps,
            self.clients[selection],
            at[selection],
            self.scales[selection],
            self.offsets[selection],
        )

    def refuse(self, beyond: npt.NDArray[np.bool_], within: Floats | None = None) -> None:
        """Raise if anything is beyond a staircase that does not say what follows."""
        if self.steps.refuses and beyond.any():
            first = int(np.argmax(beyond))
            reached = math.inf if within is None else float(within[first])
            error = self.steps.beyond(reached, float(self.offsets[first]))
            raise TraceError(f"client {self.clients[first]}: {error}")

    def area(self, times: Floats) -> Floats:
        """Integral of the unscaled rates, bytes; the end of a staircase still belongs to it."""
        steps, within = self.steps, times + self.offsets
        self.refuse(within > steps.period, within)
        cycles, within = passes(within, steps.period)
        piece = piece_at(steps, within)
        area = steps.delivered[piece] + (within - steps.starts[piece]) * steps.rates[piece]
        return area + cycles * steps.total if math.isfinite(steps.total) else area

    def finish(self, starts: Floats, sizes: Floats) -> Floats:
        """Finish times of positive sizes, ``inf`` for never; the steps of ``Capacity``."""
        steps, within = self.steps, starts + self.offsets
        self.refuse(within >= steps.period, within)
        cycles, within = passes(within, steps.period)
        piece = piece_at(steps, within)
        rates, amounts = steps.rates[piece], sizes / self.scales
        with np.errstate(all="ignore"):  # of rates of zero, which never get to the end
            seconds = starts + amounts / rates
            rest = (np.append(steps.starts[1:], steps.period)[piece] - within) * rates
            later = np.flatnonzero(~(amounts <= rest))
        if len(later):
            links = self.part(later)
            finish = links._outlast(cycles[later], within[later], piece[later], amounts[later])
            seconds[later] = np.maximum(finish, starts[later])
        return seconds

    def _outlast(self, cycles: Floats, within: Floats, piece: Integers, amounts: Floats) -> Floats:
        """Finish times of transfers that outlast the piece in which they begin."""
        steps = self.steps
        reached = steps.delivered[piece] + (within - steps.starts[piece]) * steps.rates[piece]
        reached = reached + amounts
        over = reached > steps.total
        self.refuse(over)
        with np.errstate(all="ignore"):
            if over.any():
                passes, rest = np.divmod(reached, steps.total)
                exact = rest == 0  # at the end of a pass: the earliest time lies within it
                cycles = cycles + np.where(over, passes - exact, 0)
                reached = np.where(over, np.where(exact, steps.total, rest), reached)
            piece = np.searchsorted(steps.delivered[1:], reached, side="left")
            rate = steps.rates[piece]
            finish = steps.starts[piece] + (reached - steps.delivered[piece]) / rate - self.offsets
            if math.isfinite(steps.period):
                finish = finish + cycles * steps.period
        never = (rate == 0) | (over & (steps.total == 0)) | ~np.isfinite(finish)
        return np.where(never, math.inf, finish)


def passes(within: Floats, period: float) -> tuple[Floats, Floats]:
    """Whole passes through a staircase, and seconds into the last one."""
    if math.isinf(period):
        return np.zeros_like(within), within
    cycles, rest = np.divmod(within, period)
    return cycles, rest


def piece_at(steps: Staircase, within: Floats) -> Integers:
    """Number of the piece in which each of the times lies; at a step, the new one."""
    if len(steps.starts) == 1:
        return np.zeros(len(within), dtype=np.intp)
    return np.searchsorted(steps.starts, within, side="right") - 1


def columns(clients: Integers, *columns: npt.ArrayLike) -> tuple[Integers, list[Floats]]:
    """Clients, and a number (seconds or bytes) each, as columns of the same length.

    Raises
    ------
    ValueError
        A number is negative or not finite; it names the first such client.
    """
    who = np.asarray(clients)
    values = [np.broadcast_to(np.asarray(column, float), who.shape) for column in columns]
    for column in values:
        wrong = ~((column >= 0) & np.isfinite(column))
        if wrong.any():
            first = int(np.argmax(wrong))
            raise ValueError(
                f"client {who[first]}: found {column[first]} (seconds or bytes), "
                "allowed is a number of 0 or more"
            )
    return who, values
