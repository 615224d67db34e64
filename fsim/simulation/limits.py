"""Limits that end a run whatever its protocol waits for: its time, or no update entering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

import simpy
from simpy.events import EventPriority

from fsim.core.errors import NothingLeft
from fsim.core.units import format_duration
from fsim.settings.server import StopSettings
from fsim.simulation.client_counts import ClientCounts
from fsim.simulation.reasons import Trouble

LAST = EventPriority(2)
"""SimPy's priority of what comes after all else of its moment."""

MOST_IN_VAIN = 10_000
"""Askings that may come to nothing one after another: enough where one in a thousand is answered.
Where each takes next to no simulated time, time alone would never end a run."""


class Limits:
    """Ends a run at its simulated time, or with an error when no update enters any more.

    Parameters
    ----------
    env
        The clock.
    stop
        The scenario's limits of a run.
    accounts
        Counts of how each asking ended so far.
    clients_per_round
        The scenario's cohort: a hundred whole ones may come to nothing, however large they are.

    Attributes
    ----------
    over
        Succeeds at ``stop.after``. Fails, by NothingLeft, when no update has entered the global
        adapter for ``stop.without_update``, or in :data:`MOST_IN_VAIN` askings.
    troubles
        Number of clients' rounds that each trouble ended.
    """

    def __init__(
        self,
        env: simpy.Environment,
        stop: StopSettings,
        accounts: ClientCounts,
        clients_per_round: int,
    ) -> None:
        self.over = env.event()
        self.troubles: Counter[Trouble] = Counter()
        self._env, self._stop, self._accounts = env, stop, accounts
        self._most_in_vain = max(MOST_IN_VAIN, 100 * clients_per_round)
        self.moved()
        env.process(self._watch())
        if stop.after is not None:
            self._last_of_moment(stop.after).callbacks.append(lambda _: self._end())

    def moved(self) -> None:
        """An update has entered the global adapter now."""
        self._moved_at = self._env.now
        self._then = self._accounts.as_dict()
        self._troubles_then = self.troubles.copy()

    def count(self, trouble: Trouble | None) -> None:
        """Count the reason why nothing came of a client, if there is one."""
        if trouble is None:
            return
        self.troubles[trouble] += 1
        in_vain = self.troubles.total() - self._troubles_then.total()
        if in_vain >= self._most_in_vain:
            self._end(
                f"no update has entered the global adapter in {in_vain} askings that came to "
                f"nothing: {self._meanwhile()}"
            )

    def _end(self, failure: str | None = None) -> None:
        if self.over.triggered:
            return
        if failure is None:
            self.over.succeed()
        else:
            self.over.fail(NothingLeft(failure))

    def _last_of_moment(self, delay: float) -> simpy.Event:
        """The end of the moment in so many seconds: whatever happens in it belongs to the run."""
        end = simpy.Event(self._env)
        end._ok, end._value = True, None
        self._env.schedule(end, LAST, delay)
        return end

    def _watch(self) -> Generator[simpy.Event, Any, None]:
        patience = self._stop.without_update
        # To the microsecond: in floating point, now + (then - now) may fall short of then.
        while (patience_left := self._moved_at + patience - self._env.now) > 1e-6:
            yield self._last_of_moment(patience_left)
        self._end(
            f"no update has entered the global adapter for {format_duration(patience)} of "
            f"simulated time (protocol.stop.without_update): {self._meanwhile()}"
        )

    @property
    def nothing_entered(self) -> str:
        """The fate of the clients of a run in which no update entered; empty for others."""
        counts = self._accounts
        return self._meanwhile() if counts.selected and not counts.aggregated else ""

    def _meanwhile(self) -> str:
        """The fate of the clients since an update last entered."""
        now = self._accounts.as_dict()
        since = {name: now[name] - self._then[name] for name in now}
        if not since["selected"]:
            return "no client was there to be asked (fleet.availability)"
        ends = {name: since[name] for name in ("dropped", "rejected", "late")}
        text = (
            f"of {since['selected']} times that a client was asked {ends['dropped']} were lost, "
            f"{ends['rejected']} rejected, {ends['late']} too late and "
            f"{since['selected'] - sum(ends.values())} not over"
        )
        often = (self.troubles - self._troubles_then).most_common(1)
        for trouble, times in often:
            text += f"; most often, {times} times: {trouble}"
            if trouble.advice:
                text += f", {trouble.advice}"
        return text
