"""One transfer of one client on the clock: alone or over shared links, come what may in between."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import simpy

from fsim.core.errors import TransferNeverEnds
from fsim.fleet import Availability, Link
from fsim.network import Transport
from fsim.network.links.capacity import never_ends
from fsim.network.transports.interruption import MOST_WINDOWS, Rule, interrupted, not_through
from fsim.simulation.shared_links import SharedLinks


@dataclass(frozen=True)
class Transferred:
    """The end of a transfer.

    Attributes
    ----------
    arrived
        True if it was finished; if not, it ended when the client went away, or when its last byte
        was sent if it never ends.
    sent_bytes, wasted
        Payload bytes put on the link, those sent again counted again; and those of them that were
        of no use.
    active_s
        Seconds that the client was there for it.
    never
        The reason why it would never end; empty for one that was finished or broken off.
    """

    arrived: bool
    sent_bytes: int
    wasted: int
    active_s: float
    never: str = ""


@dataclass(frozen=True)
class Route:
    """The common part of transfers in one direction.

    Attributes
    ----------
    rule
        The part of a transfer that survives an interruption
        (:func:`fsim.network.transports.interruption.interrupted`).
    shared_links
        The shared links; None where every client has the way for itself.
    """

    env: simpy.Environment
    transport: Transport
    rule: Rule
    shared_links: SharedLinks | None = None

    def transfer(
        self, size: int, link: Link, availability: Availability
    ) -> Generator[simpy.Event, Any, Transferred]:
        """The process of a transfer that begins now.

        Parameters
        ----------
        size
            Payload bytes.
        link, availability
            The client's own.

        Raises
        ------
        TraceError
            See :meth:`fsim.network.Transport.finish_time`.
        """
        if self.shared_links is None or not link.path:
            return (yield from self._alone(size, link, availability))
        return (yield from self._shared(self.shared_links, size, link, availability))

    def _alone(
        self, size: int, link: Link, availability: Availability
    ) -> Generator[simpy.Event, Any, Transferred]:
        began = self.env.now
        try:
            outcome = interrupted(
                self.transport, link.capacity, size, began, link.round_trip,
                availability.windows(began), self.rule,
            )  # fmt: skip
        except TransferNeverEnds as error:
            end = began if error.end is None else max(began, error.end)
            yield self.env.timeout(end - began)
            active = present_seconds(availability, began, end)
            return Transferred(False, error.sent_bytes, error.sent_bytes, active, str(error))
        finish = outcome.finish
        if finish is None:
            finish = availability.available_until(availability.next_available(began))
        yield self.env.timeout(finish - began)
        active = present_seconds(availability, began, finish)
        return Transferred(
            outcome.finish is not None, outcome.sent_bytes, outcome.lost_bytes, active
        )

    def _shared(
        self, shared_links: SharedLinks, size: int, link: Link, availability: Availability
    ) -> Generator[simpy.Event, Any, Transferred]:
        """Connections one after another, each until it is through or the client goes away."""
        progress, wasted, active, begin = 0, 0, 0.0, self.env.now
        for _ in range(MOST_WINDOWS):
            while (back := availability.next_available(self.env.now)) > self.env.now:
                yield self.env.timeout(back - self.env.now)
            began = self.env.now
            until = availability.available_until(began)
            rest = size - progress
            try:
                part = yield from self._connection(shared_links, rest, link, until)
            except TransferNeverEnds as error:
                active += self.env.now - began
                total = progress + wasted + error.sent_bytes
                return Transferred(False, total, total, active, str(error))
            active += self.env.now - began
            if part is None:
                return Transferred(True, size + wasted, wasted, active)
            if self.rule == "resume":
                progress += part
            else:
                wasted += part
            if self.rule == "lost":
                return Transferred(False, wasted, wasted, active)
        total = progress + wasted
        never = not_through(size, begin, MOST_WINDOWS, self.env.now, total)
        return Transferred(False, total, total, active, str(never))

    def _connection(
        self, shared_links: SharedLinks, size: int, link: Link, until: float
    ) -> Generator[simpy.Event, Any, int | None]:
        """One connection; payload bytes sent if it was broken off, None if it was finished.

        Set-up and slow start wait for round trips, not for capacity: they are billed on the
        client's own link, and what follows goes over the shared ones.

        Raises
        ------
        TransferNeverEnds
            The client's own link stays at zero from now on, and the client stays.
        """
        env, began = self.env, self.env.now
        dies = max(began, link.capacity.dies_at)
        last = min(until, dies)

        def broken_off(part: int) -> int:
            if last < until:
                error = never_ends(size, began)
                error.sent_bytes = part
                raise error
            return part

        try:
            opening = self.transport.opening(link.capacity, size, began, link.round_trip)
            opened = opening.time
        except TransferNeverEnds:
            if math.isinf(last):
                raise
            opened = math.inf
        if opened >= last:
            yield env.timeout(last - began)
            part = self.transport.sent_by(link.capacity, size, began, last, link.round_trip)
            return broken_off(part)
        yield env.timeout(opened - began)
        flow, finished = shared_links.begin(opening.wire, link.path, opening.link)
        if math.isinf(last):
            yield finished
        else:
            yield finished | env.timeout(last - env.now)
            if not finished.triggered:
                delivered = shared_links.end(flow)
                if last == until or delivered < opening.wire:
                    through = opening.total - opening.wire + delivered
                    return broken_off(math.floor(size * min(1.0, through / opening.total)))
            if env.now + opening.closing > until:
                yield env.timeout(until - env.now)
                return size
        yield env.timeout(opening.closing)
        return None


def present_seconds(availability: Availability, begin: float, end: float) -> float:
    """Seconds that a client is there between two times."""
    total = 0.0
    for window in availability.windows(begin):
        if window.begin >= end:
            break
        total += min(window.end, end) - window.begin
        if window.end >= end:
            break
    return total


def finish_of_work(
    seconds: float,
    start: float,
    availability: Availability,
    rule: Rule,
    most_windows: int = MOST_WINDOWS,
) -> tuple[float | None, float, float]:
    """The time at which work that needs a client's presence is done.

    Parameters
    ----------
    seconds
        Of undisturbed work.
    start
        The time at which it begins, seconds.
    rule
        The part of the work that survives going away: ``"resume"`` all, ``"restart"`` nothing,
        and ``"lost"`` nothing and the work is not taken up again.
    most_windows
        Attempts at the most.

    Returns
    -------
    tuple[float | None, float, float]
        Seconds on the clock, None if the work was given up; seconds spent at it, in vain or not;
        and the time at which it was finished or given up.
    """
    rest, busy, end = seconds, 0.0, start
    for tried, window in enumerate(availability.windows(start)):
        here = window.end - window.begin
        if here >= rest:
            return window.begin + rest, busy + rest, window.begin + rest
        busy, end = busy + here, window.end
        if rule == "lost" or tried == most_windows:
            break
        if rule == "resume":
            rest -= here
    return None, busy, end
