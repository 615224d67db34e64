"""Shared links on the clock: transfers side by side, and the time at which each is through.

The network room works out how a shared link is divided (:mod:`fsim.network.sharing.uploads`); this
is the SimPy process that asks it when the next transfer ends and wakes whoever waits for that.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import simpy

from fsim.core.errors import TraceError
from fsim.network import Capacity
from fsim.network.links.cursor import Cursor
from fsim.network.sharing.max_min import SharedNetwork
from fsim.network.sharing.shared_link import SharedLink

NO_FLOW = -1
"""Number of a transfer that did not begin, since the run is about to end."""


class SharedLinks:
    """Links that many transfers go over, divided max-min fairly at every moment.

    Parameters
    ----------
    env
        The clock.
    links
        Bytes/s over time of each shared link.
    """

    def __init__(self, env: simpy.Environment, links: Sequence[Capacity]) -> None:
        self._env = env
        # One link alone is shared out in far less time than a network of them.
        self._network: SharedLink | SharedNetwork = (
            SharedLink(links[0]) if len(links) == 1 else SharedNetwork(links)
        )
        self._waiting: dict[int, simpy.Event] = {}
        self._alarm = 0

    def begin(
        self, size: float, path: Sequence[int], cap: Capacity | Cursor
    ) -> tuple[int, simpy.Event]:
        """Begin a transfer now.

        Parameters
        ----------
        size
            Bytes on the wire.
        path
            Indices of the shared links that it goes over.
        cap
            The client's own link, or a cursor of its own that stands at this time.

        Returns
        -------
        tuple[int, simpy.Event]
            A number to end it by, and the event that it is through, which fails by TraceError where
            the client's own trace ends before.

        Raises
        ------
        TraceError
            The client's own trace has ended.
        """
        finished = self._env.event()
        try:
            if isinstance(self._network, SharedLink):
                flow = self._network.add(self._env.now, size, cap)
            else:
                flow = self._network.add(self._env.now, size, path, cap)
        except TraceError as error:
            self._fail(error)
            return NO_FLOW, finished
        self._waiting[flow] = finished
        self._set_alarm()
        return flow, finished

    def end(self, flow: int) -> float:
        """Break a transfer off now; bytes of it that are through.

        Raises
        ------
        TraceError
            The client's own trace has ended.
        """
        try:
            delivered = self._network.remove(self._env.now, flow)
        except TraceError as error:
            self._fail(error, flow)
            return 0.0
        del self._waiting[flow]
        self._set_alarm()
        return delivered

    def _fail(self, error: TraceError, mine: int | None = None) -> None:
        """Fail the transfer of the client whose trace has ended, whoever's coming has shown it.

        Of one's own flow, and of one that is only about to begin, it is raised. It ends the run:
        what is on the links at that moment is not to be gone on with.
        """
        finished = None if error.flow is None else self._waiting.get(error.flow)
        if finished is None or error.flow == mine:
            raise TraceError(error.reason) from None
        if not finished.triggered:
            finished.fail(TraceError(error.reason))

    def _set_alarm(self) -> None:
        """Wake up at the next event; alarms set before count no more."""
        self._alarm += 1
        time = self._network.next_event()
        if time is not None:
            self._env.process(self._wake(max(0.0, time - self._env.now), self._alarm))

    def _wake(self, delay: float, alarm: int) -> Generator[simpy.Event, Any, None]:
        yield self._env.timeout(delay)
        if alarm != self._alarm:
            return
        try:
            finishers = self._network.advance(self._env.now)
        except TraceError as error:
            self._fail(error)
            return
        for flow, _ in finishers:
            # One that was broken off at the very moment of its finish waits no more.
            if (finished := self._waiting.pop(flow, None)) is not None:
                finished.succeed()
        self._set_alarm()
