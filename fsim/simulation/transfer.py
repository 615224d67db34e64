"""One transfer of one client on the clock: alone or over shared links, come what may in between."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, Literal

import simpy

from fsim.core.errors import TransferNeverEnds
from fsim.fleet import Availability, Link
from fsim.network import Capacity, Opening, Transport
from fsim.network.links.capacity import never_ends
from fsim.network.links.cursor import Cursor
from fsim.network.sharing.backlog import Stream
from fsim.network.transports.connection import Connection
from fsim.network.transports.growth import GrowthCursor
from fsim.network.transports.interruption import MOST_WINDOWS, Rule, interrupted, not_through
from fsim.network.transports.pace import Window
from fsim.network.transports.packet_losses import Draws
from fsim.network.transports.sender import Sender
from fsim.network.transports.waking import AWAKE, Waking
from fsim.simulation.radios import ClientRadio
from fsim.simulation.shared_links import SharedLinks

Direction = Literal["up", "down"]
DIRECTIONS: tuple[Direction, Direction] = ("up", "down")


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
        Seconds that the client was there for it, without promotions of its radio.
    never
        The reason why it would never end; empty for one that was finished or broken off.
    window
        Of the sender, over the connection that it leaves; None if that is broken.
    """

    arrived: bool
    sent_bytes: int
    wasted: int
    active_s: float
    never: str = ""
    window: Window | None = None


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
    direction
        Up from the clients, or down to them: who sends.
    """

    env: simpy.Environment
    transport: Transport
    rule: Rule
    shared_links: SharedLinks | None = None
    direction: Direction = "up"

    def opening(
        self,
        link: Link,
        connection: Connection | None,
        waking: Waking = AWAKE,
        draws: Draws | None = None,
    ) -> Opening:
        """State of a connection for a transfer that begins now; one that broke is closed."""
        promotion = waking.promotion(self.env.now)
        new = Opening(
            None,
            self.direction == "down",
            connection is not None and connection.was_open,
            None if draws is None else self.transport.draw_losses(draws),
            promotion,
        )
        if connection is None or not self.transport.keeps_connections or not connection.is_open:
            return new
        if connection.until < self.env.now:
            connection.close()
            return new
        window = connection.window(
            self.direction, self.env.now + promotion, link.round_trip, self.transport.restarts
        )
        return new._replace(window=window)

    def transfer(
        self,
        size: int,
        link: Link,
        availability: Availability,
        connection: Connection | None = None,
        radio: ClientRadio | None = None,
        draws: Draws | None = None,
    ) -> Generator[simpy.Event, Any, Transferred]:
        """The process of a transfer that begins now.

        Parameters
        ----------
        size
            Payload bytes.
        link, availability
            The client's own.
        connection
            The client's, which the transfer goes over if it is open and opens if not; None for a
            connection of the transfer's own.
        radio
            The client's, which wakes up first if it has idled; None for one that is always there.
        draws
            Of the packets that are lost; None for losses at their mean distance.

        Raises
        ------
        TraceError
            See :meth:`fsim.network.Transport.finish_time`.
        """
        began, waking = self.env.now, AWAKE if radio is None else radio.waking
        way = size, link, availability, self.opening(link, connection, waking, draws), waking
        if self.shared_links is None or not link.path:
            transferred = yield from self._alone(*way)
        else:
            transferred = yield from self._shared(self.shared_links, *way)
        if radio is not None:
            active = transferred.active_s - radio.end(availability, began)
            transferred = replace(transferred, active_s=max(0.0, active))
        if connection is not None:
            if transferred.window is not None:
                now, last_byte = self.env.now, self.env.now - link.round_trip / 2
                until = availability.available_until(now)
                connection.use(self.direction, last_byte, transferred.window, until)
            else:
                connection.close()
        return transferred

    def _alone(
        self,
        size: int,
        link: Link,
        availability: Availability,
        opening: Opening,
        waking: Waking,
    ) -> Generator[simpy.Event, Any, Transferred]:
        began = self.env.now
        try:
            outcome = interrupted(
                self.transport, link.capacity, size, began, link.round_trip,
                availability.windows(began), self.rule, opening=opening, waking=waking,
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
            outcome.finish is not None,
            outcome.sent_bytes,
            outcome.lost_bytes,
            active,
            window=outcome.window,
        )

    def _shared(
        self,
        shared_links: SharedLinks,
        size: int,
        link: Link,
        availability: Availability,
        opening: Opening,
        waking: Waking,
    ) -> Generator[simpy.Event, Any, Transferred]:
        """Connections one after another, each until it is through or the client goes away."""
        progress, wasted, active, begin = 0, 0, 0.0, self.env.now
        for _ in range(MOST_WINDOWS):
            while (back := availability.next_available(self.env.now)) > self.env.now:
                yield self.env.timeout(back - self.env.now)
                opening = opening.anew()
            began = self.env.now
            until = availability.available_until(began)
            opening = opening._replace(promotion=waking.promotion(began))
            rest = size - progress
            try:
                part, window = yield from self._connection(shared_links, rest, link, until, opening)
            except TransferNeverEnds as error:
                active += self.env.now - began
                total = progress + wasted + error.sent_bytes
                return Transferred(False, total, total, active, str(error))
            active += min(self.env.now, until) - began
            if window is not None:
                return Transferred(True, size + wasted, wasted, active, window=window)
            opening, waking = opening.anew(), waking.used(self.env.now)
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
        self, shared_links: SharedLinks, size: int, link: Link, until: float, opening: Opening
    ) -> Generator[simpy.Event, Any, tuple[int, Window | None]]:
        """One connection; payload bytes sent, and its window if it was not broken off.

        Every flight is a transfer over the shared links, and so is what follows once one of them
        has kept its share busy for a whole round trip. Each waits first for what waits at the
        entrance of the shared links (:meth:`fsim.simulation.shared_links.SharedLinks.wait`).

        Raises
        ------
        TransferNeverEnds
            The client's own link stays at zero from now on, and the client stays.
        """
        env, began, round_trip = self.env, self.env.now, link.round_trip
        dies = max(began, link.capacity.dies_at)
        last = min(until, dies)
        pace = self.transport.whole_pace(size, round_trip, opening)
        own, sender, busy = pace.link(link.capacity), Sender(pace, round_trip), False

        def broken_off(delivered: float = 0.0) -> tuple[int, None]:
            rest = sender.rest - delivered
            part = size if rest <= 0 else min(size, self.transport.payload(pace.wire - rest))
            if last < until:
                error = never_ends(size, began)
                error.sent_bytes = part
                raise error
            return part, None

        queue_wait = shared_links.wait(link.path)
        wait = began + pace.setup + (pace.setup_trips + 1) * queue_wait
        while True:
            if wait >= last:
                yield env.timeout(last - env.now)
                return broken_off()
            yield env.timeout(wait - env.now)
            streams = sender.streams(0.0 if busy else own.rate_at(env.now), queue_wait)
            sent_at, part = env.now, sender.rest if streams else sender.flight
            limit: Capacity | Cursor = own
            if streams and sender.window < sender.rest and round_trip:
                limit = GrowthCursor(own, sent_at, round_trip, sender.window / round_trip)
            flow, finished = shared_links.begin(part, link.path, limit)
            if streams and shared_links.has_queues:
                stream = Stream(sender.state, pace.control(), round_trip, part)
                shared_links.fill(flow, stream)
            if math.isinf(last):
                yield finished
            else:
                yield finished | env.timeout(last - env.now)
                if not finished.triggered:
                    delivered = shared_links.end(flow)
                    if last == until or delivered < part:
                        return broken_off(delivered)
            if streams:
                break
            # Its acknowledgements come a round trip after it left. If they find the way busy still,
            # the window is as large as the way, and what is left follows without a pause.
            queue_wait = shared_links.wait(link.path)
            answered = max(sent_at + round_trip + queue_wait, env.now)
            busy = answered == env.now
            # A sender under loss takes a flight for slow that took longer than its round trip.
            in_time = queue_wait > 0 and not busy
            wait = answered + sender.acknowledge(round_trip if in_time else answered - sent_at)
        if opening.fetched and env.now + pace.closing > until:
            yield env.timeout(until - env.now)
            return size, None
        yield env.timeout(pace.closing)
        return size, sender.final_window()


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
