"""Clients that are available while they charge at night, each in its own time zone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from typing_extensions import override

from fsim.core.errors import ScenarioError
from fsim.core.rng import stream
from fsim.fleet.availability.base import SHORTEST, Intermittent, Window, joined

HOUR = 3600.0
DAY = 24 * HOUR
WEEK = 7
"""Nights that are drawn together."""

SPREAD = 6 * HOUR
"""The furthest that a night's window begins before or after its usual time."""

LONGEST_NIGHT = 12 * HOUR
"""Together with :data:`SPREAD` this keeps each night's window within 24 hours of its own."""

RAREST = 0.01
"""The lowest probability of using a night, so that a search for the next one ends soon."""


@dataclass(frozen=True)
class Nights:
    """The habits of a fleet: what its clients' nights are drawn from.

    That devices are available when idle, charging and on an unmetered network, mostly at night by
    their own clocks, and that four times as many take part at the busiest hour as at the quietest
    one in a fleet of mostly American phones, is from Bonawitz et al., Towards Federated Learning at
    Scale: System Design, MLSys 2019 (arXiv 1902.01046); the same daily rhythm in recordings of
    136,000 phones is in Yang et al., FLASH, WWW 2021 (arXiv 2006.06983). **The default numbers are
    chosen, not fitted to either**, and nobody is available by day, which in both some are.

    Attributes
    ----------
    start, start_deviation
        Mean and standard deviation of the hour (seconds since local midnight) at which a night's
        window begins; a night's deviation is cut at :data:`SPREAD`.
    duration, duration_deviation
        Mean and standard deviation of its length (seconds), cut at 0 and :data:`LONGEST_NIGHT`.
    probability
        Of using a night, each night anew.
    time_zones
        Hours ahead of UTC -> share of the clients, relative to their sum. Time 0 of the simulation
        is midnight in UTC.

    Raises
    ------
    ScenarioError
        A value that is not allowed.
    """

    start: float = 23 * HOUR
    start_deviation: float = 1.5 * HOUR
    duration: float = 7.5 * HOUR
    duration_deviation: float = 1.5 * HOUR
    probability: float = 0.8
    time_zones: Mapping[float, float] = field(default_factory=lambda: {0.0: 1.0})

    def __post_init__(self) -> None:
        checks = {
            "start": (self.start, 0.0, DAY, "s since midnight"),
            "start_deviation": (self.start_deviation, 0.0, SPREAD, "s"),
            "duration": (self.duration, 60.0, LONGEST_NIGHT, "s"),
            "duration_deviation": (self.duration_deviation, 0.0, LONGEST_NIGHT, "s"),
            "probability": (self.probability, RAREST, 1.0, "as a share of nights"),
        }
        for name, (value, low, high, unit) in checks.items():
            if not low <= value <= high:
                raise ScenarioError(
                    f"{name}: found {value:g}, allowed is {low:g} to {high:g} {unit}"
                )
        for zone, share in self.time_zones.items():
            if not (-12 <= zone <= 14 and 0 < share < math.inf):
                raise ScenarioError(
                    f"time_zones: found {zone:g}: {share:g}, allowed are -12 to 14 hours ahead of "
                    "UTC, each with a positive share"
                )
        if not self.time_zones:
            raise ScenarioError("time_zones: found none, allowed is one or more")

    def draw_time_zone(self, rng: np.random.Generator) -> float:
        """A client's hours ahead of UTC."""
        zones = sorted(self.time_zones)
        shares = np.array([self.time_zones[zone] for zone in zones], dtype=np.float64)
        return float(zones[int(rng.choice(len(zones), p=shares / shares.sum()))])


class Diurnal(Intermittent):
    """Available in a window of every night that it uses, from evening into the morning.

    A night is a function of its own number alone: any far night is drawn without those before it.

    Parameters
    ----------
    nights
        The fleet's habits.
    seed, client
        Of the streams that the client's time zone and its nights are drawn from.
    """

    __slots__ = ("_client", "_nights", "_seed", "_zone")

    def __init__(self, nights: Nights, seed: int, client: int) -> None:
        super().__init__()
        self._nights = nights
        self._seed = seed
        self._client = client
        self._zone: float | None = None

    @property
    def time_zone(self) -> float:
        """Hours ahead of UTC."""
        if self._zone is None:
            rng = stream(self._seed, "fleet.time_zone", self._client)
            self._zone = self._nights.draw_time_zone(rng)
        return self._zone

    @property
    @override
    def longest_window(self) -> float:
        """Twice the longest night: two may meet."""
        return 2 * LONGEST_NIGHT

    def _windows(self, start: float) -> Iterator[Window]:
        # Night n lies within [span + n DAY, span + (n + 1) DAY], so the night that a time belongs
        # to is a division (or, by rounding, the one after). Nights are counted from three days
        # before time 0, so that no number is negative in any time zone.
        span = self._nights.start - SPREAD - self.time_zone * HOUR - 3 * DAY
        night = int((start - span) // DAY) - 1
        return joined(self._from_night(night, span + SPREAD), start, SHORTEST / 2)

    def _from_night(self, night: int, usual: float) -> Iterator[Window]:
        """The windows of all nights from one on; ``usual`` is when night 0 usually begins."""
        habits = self._nights
        week, first = divmod(night, WEEK)
        while True:
            rng = stream(self._seed, "fleet.night", self._client, week)
            normal = rng.standard_normal((WEEK, 2))
            used = rng.uniform(size=WEEK) < habits.probability
            late = np.clip(normal[:, 0] * habits.start_deviation, -SPREAD, SPREAD)
            lengths = habits.duration + normal[:, 1] * habits.duration_deviation
            lengths = np.clip(lengths, 0, LONGEST_NIGHT)
            begins = usual + (week * WEEK + np.arange(WEEK)) * DAY + late
            for at in range(first, WEEK):
                if used[at]:
                    yield Window(float(begins[at]), float(begins[at] + lengths[at]))
            week, first = week + 1, 0
