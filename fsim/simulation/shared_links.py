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
from fsim.network.sharing.backlog import Backlog, Stream
from fsim.network.sharing.max_min import SharedNetwork
from fsim.network.sharing.shared_link import SharedLink

NO_FLOW = -1
"""Number of a transfer that did not begin, since the run is about to end."""

ROUNDING = 1e-9
"""Part of a rate that is rounding."""


class SharedLinks:
    """Links that many transfers go over, divided max-min fairly at every moment.

    Parameters
    ----------
    env
        The clock.
    links
        Bytes/s over time of each shared link.
    queues
        Bytes that wait at the entrance of each, all of it one FIFO; None for one that has a queue
        for each transfer, as all have where there are none.
    """

    def __init__(
        self,
        env: simpy.Environment,
        links: Sequence[Capacity],
        queues: Sequence[float | None] = (),
    ) -> None:
        self._env = env
        self._backlogs = {
            at: Backlog(queue) for at, queue in enumerate(queues) if queue is not None
        }
        self._paths: dict[int, Sequence[int]] = {}
        self._streams: dict[int, Stream] = {}
        # One link alone is shared out in far less time than a network of them.
        self._network: SharedLink | SharedNetwork = (
            SharedLink(links[0]) if len(links) == 1 else SharedNetwork(links)
        )
        self._waiting: dict[int, simpy.Event] = {}
        self._alarm = 0

    @property
    def has_queues(self) -> bool:
        """True if one of the links is a FIFO."""
        return bool(self._backlogs)

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
        self._advance_backlogs()
        try:
            if isinstance(self._network, SharedLink):
                flow = self._network.add(self._env.now, size, cap)
            else:
                flow = self._network.add(self._env.now, size, path, cap)
        except TraceError as error:
            self._fail(error)
            return NO_FLOW, finished
        self._waiting[flow] = finished
        if self._backlogs:
            self._paths[flow] = path
        self._limit_streams()
        self._set_alarm()
        return flow, finished

    def fill(self, flow: int, stream: Stream) -> None:
        """Note that a transfer that has begun now sends without a pause.

        Parameters
        ----------
        flow
            Its number.
        stream
            Its sender.
        """
        if flow == NO_FLOW or not any(link in self._backlogs for link in self._paths.get(flow, ())):
            return
        stream.run(self._env.now)
        self._streams[flow] = stream
        self._limit_streams()

    def wait(self, path: Sequence[int]) -> float:
        """Seconds that a packet which comes now waits at the entrances of links, for others'."""
        if not self._streams:
            return 0.0
        self._advance_backlogs()
        return sum(self._backlogs[link].seconds for link in path if link in self._backlogs)

    def end(self, flow: int) -> float:
        """Break a transfer off now; bytes of it that are through.

        Raises
        ------
        TraceError
            The client's own trace has ended.
        """
        self._advance_backlogs()
        try:
            delivered = self._network.remove(self._env.now, flow)
        except TraceError as error:
            self._fail(error, flow)
            return 0.0
        del self._waiting[flow]
        self._forget(flow)
        self._limit_streams()
        self._set_alarm()
        return delivered

    def _forget(self, flow: int) -> None:
        self._paths.pop(flow, None)
        self._streams.pop(flow, None)

    def _advance_backlogs(self) -> None:
        for backlog in self._backlogs.values():
            backlog.advance(self._env.now)
        for stream in self._streams.values():
            stream.run(self._env.now)

    def _limit_streams(self) -> None:
        """Find out which of the streams is limited by which link, as rates are from now on.

        By a link that is used up, and where none is faster; by none if its own link is no faster.
        """
        if not self._backlogs:
            return
        network = self._network
        rates = network.rates() if self._streams else {}
        limited = {}
        for flow, stream in self._streams.items():
            stream.rate = rates.get(flow, 0.0)
            if flow in rates and 0 < stream.rate < network.cap(flow) * (1 - ROUNDING):
                limited[flow] = stream
        for link, backlog in self._backlogs.items():
            across = [rate for flow, rate in rates.items() if link in self._paths[flow]]
            capacity = network.capacity(link) if across else 0.0
            used_up = sum(across) >= capacity * (1 - ROUNDING)
            least = max(across, default=0.0) * (1 - ROUNDING)
            here = {
                flow: stream
                for flow, stream in limited.items()
                if used_up and link in self._paths[flow] and stream.rate >= least
            }
            for flow in here:
                del limited[flow]  # only one has it wait, if several are used up
            backlog.limit(capacity, here)

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
        self._advance_backlogs()
        try:
            finishers = self._network.advance(self._env.now)
        except TraceError as error:
            self._fail(error)
            return
        for flow, _ in finishers:
            # One that was broken off at the very moment of its finish waits no more.
            if (finished := self._waiting.pop(flow, None)) is not None:
                finished.succeed()
            self._forget(flow)
        self._limit_streams()
        self._set_alarm()
