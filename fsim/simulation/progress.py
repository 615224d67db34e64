"""Progress of a run, reported while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

EVERY_S = 0.5
"""Seconds, of the user's own clock, between two reports while nothing is evaluated."""


@dataclass(frozen=True)
class Progress:
    """The state of a run.

    Attributes
    ----------
    round_number, rounds
        The last round that closed, and how many there are to be.
    simulated_s, uplink_bytes
        So far.
    accuracy
        Of the last evaluation.
    """

    round_number: int
    rounds: int
    simulated_s: float
    accuracy: float
    uplink_bytes: int


class ProgressReport:
    """Reports a run's progress after each evaluation, and now and then while none is made.

    Parameters
    ----------
    listener
        Called with each report; None for no reports.
    rounds
        Number of rounds that there are to be.
    """

    def __init__(self, listener: Callable[[Progress], None] | None, rounds: int) -> None:
        self._listener = listener
        self._state = Progress(0, rounds, 0.0, 0.0, 0)
        self._last = time.monotonic()

    @property
    def round_number(self) -> int:
        """The last round that closed."""
        return self._state.round_number

    def close_round(self, round_number: int) -> None:
        """Note that a round has closed; the next report says so."""
        self._state = replace(self._state, round_number=round_number)

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Report an evaluation, a row of the evaluations table."""
        self._state = Progress(
            row["round"], self._state.rounds, row["time_s"], row["accuracy"], row["uplink_bytes"]
        )
        self._report()

    def meanwhile(self, simulated_s: float, uplink_bytes: int, at_once: bool = False) -> None:
        """Report the clock and the bytes if the last report is a while ago, or at once."""
        if self._state.simulated_s == simulated_s:
            return
        if at_once or time.monotonic() - self._last >= EVERY_S:
            self._state = replace(self._state, simulated_s=simulated_s, uplink_bytes=uplink_bytes)
            self._report()

    def _report(self) -> None:
        self._last = time.monotonic()
        if self._listener is not None:
            self._listener(self._state)
