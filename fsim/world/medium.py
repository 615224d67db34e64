"""Shared links on the clock: who uploads side by side, and when each is through.

The network room works out how a shared link is divided (:mod:`fsim.network.sharing`); this is the
SimPy process that asks it when the next transfer ends and wakes whoever waits for that.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import simpy

from fsim.network import Capacity
from fsim.network.shared_link import SharedLink
from fsim.network.waterfill import SharedNetwork


class Medium:
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

    def begin(self, size: float, path: Sequence[int], cap: Capacity) -> tuple[int, simpy.Event]:
        """Begin a transfer now.

        Parameters
        ----------
        size
            Bytes on the wire.
        path
            Which shared links it goes over.
        cap
            The client's own link.

        Returns
        -------
        flow, finished
            A number to end it by, and the event that it is through.
        """
        if isinstance(self._network, SharedLink):
            flow = self._network.add(self._env.now, size, cap)
        else:
            flow = self._network.add(self._env.now, size, path, cap)
        self._waiting[flow] = finished = self._env.event()
        self._set_alarm()
        return flow, finished

    def end(self, flow: int) -> float:
        """Break a transfer off now; bytes of it that are through."""
        delivered = self._network.remove(self._env.now, flow)
        del self._waiting[flow]
        self._set_alarm()
        return delivered

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
        for flow, _ in self._network.advance(self._env.now):
            # One that was broken off at the very moment of its finish waits no more.
            if (finished := self._waiting.pop(flow, None)) is not None:
                finished.succeed()
        self._set_alarm()
