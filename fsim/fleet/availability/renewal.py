"""Clients that are alternately on and off for random times: an alternating renewal process."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from typing_extensions import override

from fsim.core.distributions import Distribution
from fsim.core.errors import ScenarioError
from fsim.core.rng import stream
from fsim.fleet.availability.base import SHORTEST, Intermittent, Window, joined

CYCLES = 128
"""Mean cycles (an on and an off period) in an epoch, after which the process starts afresh."""

LONGEST = 1e9
"""Seconds (32 years) that the mean of a period may last."""

WIDEST = 3.0
"""The largest sigma of a lognormal period. At 3 the mean is 90 medians; beyond, an epoch of as many
mean cycles could hold any number of short ones."""

ONE_IN_1E12 = 7.0345
"""Standard deviations that a normal variable exceeds once in 10^12 times."""


class OnOff(Intermittent):
    """Alternately on and off, the lengths of the periods drawn independently of one another.

    The process is stationary: at every time the client is on with probability
    E[on] / (E[on] + E[off]). For that it starts as if it had run for ever (Cox, Renewal Theory,
    1962, chapters 5 and 7): on or off by that probability, and the period in progress at time 0 is
    a length-biased one, of which a uniform share is left. For exponential laws, which have no
    memory, that is an exponential time again.

    Time is cut into epochs of :data:`CYCLES` mean cycles, each of which starts afresh in that way
    from a stream of its own. So a question about any time costs one epoch's draws at most (about
    2 x :data:`CYCLES`), and nothing but the last answer is kept; the price is that about one
    period in 2 x :data:`CYCLES` is cut short or prolonged by the beginning of an epoch.

    A client that is off when its round begins is waited for.

    Parameters
    ----------
    on, off
        Laws of the lengths of the periods, in seconds.
    seed, client
        Of the streams that the periods are drawn from.

    Raises
    ------
    ScenarioError
        A mean is not between :data:`SHORTEST` and :data:`LONGEST`, or a law is too wide.
    """

    __slots__ = ("_client", "_off", "_on", "_seed")

    def __init__(self, on: Distribution, off: Distribution, seed: int, client: int) -> None:
        super().__init__()
        check_law("on", on)
        check_law("off", off)
        self._on = on
        self._off = off
        self._seed = seed
        self._client = client

    @property
    @override
    def longest_window(self) -> float:
        """Twice the longest period: two may meet."""
        return 2 * longest(self._on)

    def _windows(self, start: float) -> Iterator[Window]:
        epoch = CYCLES * (mean(self._on) + mean(self._off))
        return joined(self._periods(int(start // epoch), epoch), start)

    def _periods(self, number: int, length: float) -> Iterator[Window]:
        """The on periods from an epoch (seconds long) on, each cut at the end of its epoch."""
        while True:
            origin, limit = number * length, (number + 1) * length
            for begin, end in self._epoch(number, length):
                yield Window(origin + begin, min(origin + end, limit) if end < length else limit)
            number += 1

    def _epoch(self, number: int, length: float) -> Iterator[Window]:
        """The on periods of an epoch, in seconds from its beginning; the last may end after it."""
        # The first epoch has the client's plain stream, the later ones their number as well.
        keys = (self._client, number) if number else (self._client,)
        rng = stream(self._seed, "fleet.on_off", *keys)
        on, off = mean(self._on), mean(self._off)
        is_on = bool(rng.uniform() < on / (on + off))
        begin, end = 0.0, residual(self._on if is_on else self._off, rng)
        while True:
            if is_on:
                yield Window(begin, end)
            if end >= length:
                return
            is_on = not is_on
            begin, end = end, end + (self._on if is_on else self._off).draw(rng)


def check_law(name: str, law: Distribution) -> None:
    """Refuse a law of periods that cannot be simulated.

    Raises
    ------
    ScenarioError
        Naming it, with what was found and what is allowed.
    """
    if law.kind == "lognormal" and law.parameters[1] > WIDEST:
        raise ScenarioError(
            f"{name}: found a sigma of {law.parameters[1]:g}, allowed is {WIDEST:g} at most"
        )
    if not SHORTEST <= mean(law) <= LONGEST:
        raise ScenarioError(
            f"{name}: found a mean of {mean(law):g} s, allowed is {SHORTEST:g} to {LONGEST:g} s"
        )


def mean(law: Distribution) -> float:
    """The mean of a law, in its unit."""
    if law.kind == "uniform":
        return sum(law.parameters) / 2
    if law.kind == "lognormal":
        median, sigma = law.parameters
        return median * math.exp(sigma**2 / 2)
    if law.kind in ("constant", "exponential"):
        return law.parameters[0]
    raise _unknown(law)


def longest(law: Distribution) -> float:
    """Length that all but one period in 10^12 keep below, that in progress at time 0 included."""
    if law.kind == "exponential":
        return law.parameters[0] * math.log(1e12)
    if law.kind == "lognormal":
        median, sigma = law.parameters
        return median * math.exp(sigma**2 + ONE_IN_1E12 * sigma)
    if law.kind in ("constant", "uniform"):
        return law.parameters[-1]
    raise _unknown(law)


def residual(law: Distribution, rng: np.random.Generator) -> float:
    """Draw the rest, at a random time, of a period of that law that is in progress.

    A period in progress at a random time is a length-biased one (density x f(x) / mean), of which
    a uniform share is left. Length-biased are: a constant, itself; a uniform law on [a, b], the
    square root of a^2 + u (b^2 - a^2); a lognormal one, lognormal with its median times
    exp(sigma^2). What is left of an exponential period is exponential.
    """
    if law.kind == "exponential":
        return law.draw(rng)
    share = rng.uniform()
    if law.kind == "constant":
        return float(share * law.parameters[0])
    if law.kind == "uniform":
        low, high = law.parameters
        return float(share * math.sqrt(low**2 + rng.uniform() * (high**2 - low**2)))
    if law.kind == "lognormal":
        median, sigma = law.parameters
        return float(share * median * math.exp(sigma**2 + sigma * rng.standard_normal()))
    raise _unknown(law)


def _unknown(law: Distribution) -> ScenarioError:
    return ScenarioError(
        f"found a {law.kind} law of on or off times, allowed are a quantity, uniform, lognormal "
        "and exponential"
    )
