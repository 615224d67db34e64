"""The clock of a shared network: arrivals, departures and changes of capacity, event by event.

What is common to every way of sharing links among uploads. Between two events all rates are
constant; which rates, and who finishes next, is for the subclasses to say
(:class:`fsim.network.sharing.shared_link.SharedLink`,
:class:`fsim.network.sharing.max_min.SharedNetwork`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Generic, TypeVar

from fsim.core.errors import TraceError, TransferNeverEnds
from fsim.network.links.capacity import Capacity
from fsim.network.links.cursor import Cursor
from fsim.network.sharing.events import LazyHeap

MAX_CHANGES = 10_000_000
"""Changes of capacity in a row, with no flow coming or finishing, after which it is given up."""

SLACK = 1e-15
"""Finishes closer than this, relative to the time on the clock, are one instant: a float's own
resolution is 2e-16."""

LEFTOVER = 1e-12
"""Share of a flow's size that is rounding, not bytes: such a rest is not carried over a change of
capacity, where an outage would turn it into seconds."""


class Upload:
    """A flow on its way, as :class:`Sharing` sees it.

    Attributes
    ----------
    size
        Bytes.
    cap
        Bytes/s that it may have at most by its own link; None for no such limit.
    change
        Its next change of cap, among all such.
    """

    __slots__ = ("cap", "change", "flow", "path", "size", "weight")

    def __init__(
        self, flow: int, size: float, weight: float, cap: Cursor | None, path: tuple[int, ...]
    ) -> None:
        self.flow = flow
        self.size = size
        self.weight = weight
        self.cap = cap
        self.path = path
        self.change: list[Any] | None = None


U = TypeVar("U", bound=Upload)


class Sharing(ABC, Generic[U]):
    """Flows over shared links, their finish times told as the clock moves on.

    The clock only goes forward. Every call says what time it is; what has happened until then is
    worked out, and flows that finished meanwhile are told by the next :meth:`advance`.

    Parameters
    ----------
    links
        The shared links.
    start
        Seconds on the clock to begin with.

    Attributes
    ----------
    now
        Seconds on the clock.
    events
        Arrivals, departures and changes of capacity so far.
    """

    _kind: type[U]

    def __init__(self, links: Sequence[Capacity], start: float = 0.0) -> None:
        self.now = start
        self.events = 0
        self._capacities = list(links)
        self._links: list[Cursor] = []
        self._flows: dict[int, U] = {}
        self._unused = 0
        self._finishes: list[tuple[float, int, float]] = []  # when, who, bytes
        self._changes = LazyHeap()
        self._stale = True  # whether rates are not those of the present flows and capacities
        self._finish = math.inf
        self._uneventful = 0  # changes of capacity since a flow came or finished
        self._place_links()

    def __len__(self) -> int:
        return len(self._flows)

    def remove(self, time: float, flow: int) -> float:
        """Take a flow away in mid-upload.

        A flow that finished by then stays finished: all of its bytes are told, and the next
        :meth:`advance` tells its finish.

        Returns
        -------
        float
            Bytes of it that have been delivered.

        Raises
        ------
        ValueError
            There is no such flow, or the clock is past that time.
        """
        upload = self._flows.get(flow)
        self._run(time)
        if upload is None:
            sizes = [size for _, number, size in self._finishes if number == flow]
            if not sizes:
                raise ValueError(f"there is no flow {flow} to remove")
            return sizes[0]
        if flow in self._flows:
            del self._flows[flow]
            self.events += 1
            return upload.size - self._forget(upload)
        return upload.size

    def next_event(self) -> float | None:
        """Time of the next event if nobody comes or goes: seconds, None for never.

        Not only finishes are events, but changes of capacity as well. Now, if there are finishes
        that have not been told.
        """
        if self._finishes:
            return self.now
        if not self._flows:
            return None
        time = self._next_time()
        return None if math.isinf(time) else time

    def advance(self, time: float) -> list[tuple[int, float]]:
        """Let the clock go on to a time.

        Returns
        -------
        list of (int, float)
            Flows that have finished since the last call and when, by time and then by number.

        Raises
        ------
        ValueError
            The clock is past that time.
        TraceError
            A capacity that a flow needs ends before that time, its ``past_end`` being ``"error"``.
        TransferNeverEnds
            There were ``MAX_CHANGES`` changes of capacity in a row and no flow finished.
        """
        self._run(time)
        return self._take_finished()

    def cap(self, flow: int) -> float:
        """Bytes/s that a flow which is there may have at most by its own link, now."""
        cap = self._flows[flow].cap
        return math.inf if cap is None else cap.rate

    def capacity(self, link: int) -> float:
        """Bytes/s of a shared link now, as long as a flow is there."""
        return self._links[link].rate

    def drain(self) -> list[tuple[int, float]]:
        """Let the clock go on until every flow has finished or none ever will.

        Flows that nothing is sent of for a common period of all capacities that change are left
        as they are, and so are those that no more is sent of.

        Raises
        ------
        TransferNeverEnds, TraceError
            As for :meth:`advance`.
        """
        repeated: float | None = None  # when, if nothing is delivered now
        while self._flows:
            time = self._next_time()
            if math.isinf(time):
                break
            if self._flowing():
                repeated = None
            elif repeated is None:
                repeated = self._repeated()
            elif self.now > repeated:
                break
            self._step(time)
        return self._take_finished()

    def _add(
        self,
        time: float,
        size: float,
        cap: Capacity | Cursor | None,
        weight: float,
        flow: int | None,
        path: tuple[int, ...],
    ) -> int:
        if not 0 <= size < math.inf:
            raise ValueError(f"found a size of {size} bytes, allowed is 0 or more, finite")
        if not 0 < weight < math.inf:
            raise ValueError(f"found a weight of {weight}, allowed is more than 0, finite")
        number = self._unused if flow is None else flow
        if number in self._flows:
            raise ValueError(f"there is a flow {number} already")
        self._run(time)
        cursor = None if cap is None else self._enter(number, cap, time)
        due = self._changes.top()
        if not self._flows and due is not None and due[0] <= time:
            self._place_links()
        self._unused = max(self._unused, number + 1)
        self._uneventful = 0
        self.events += 1
        if size == 0:
            self.events += 1
            self._finishes.append((time, number, 0.0))
            return number
        upload = self._kind(number, float(size), float(weight), cursor, path)
        self._flows[number] = upload
        if cursor is not None and cursor.until < math.inf:
            upload.change = self._changes.push(cursor.until, upload)
        self._join(upload, upload.size)
        self._stale = True
        return number

    def _enter(self, flow: int, cap: Capacity | Cursor, time: float) -> Cursor:
        try:
            return cap if isinstance(cap, Cursor) else Cursor(cap, time)
        except TraceError as error:
            raise TraceError(str(error), flow) from None

    def _forget(self, upload: U) -> float:
        """Take a flow out of the sharing; bytes of it that are left."""
        if upload.change is not None:
            self._changes.withdraw(upload.change)
            upload.change = None
        self._stale = True
        return self._leave(upload)

    def _finish_flow(self, upload: U) -> None:
        """For subclasses to call when a flow has finished now."""
        self._forget(upload)
        del self._flows[upload.flow]
        self._uneventful = 0
        self._finishes.append((self.now, upload.flow, upload.size))
        self.events += 1

    def _take_finished(self) -> list[tuple[int, float]]:
        finished, self._finishes = self._finishes, []
        return [(flow, time) for time, flow, _ in sorted(finished)]

    def _run(self, time: float) -> None:
        if not self.now <= time < math.inf:
            raise ValueError(f"found a time of {time} s, allowed is {self.now:g} s or later")
        # Without flows nothing matters; the links are found again when there is one.
        while self._flows and (event := self._next_time()) <= time:
            self._step(event)
        self._move(time)
        self.now = time

    def _place_links(self) -> None:
        """Find out what the links have now, no flow being there."""
        self._changes = LazyHeap()
        self._links = [Cursor(capacity, self.now) for capacity in self._capacities]
        for number, link in enumerate(self._links):
            if link.until < math.inf:
                self._changes.push(link.until, number)
        self._stale = True

    def _next_time(self) -> float:
        if self._stale:
            self._share()
            self._stale = False
        self._finish = self._next_finish()
        change = self._changes.top()
        time = self._finish if change is None else min(self._finish, change[0])
        return max(time, self.now)

    def _step(self, time: float) -> None:
        """Whatever happens at the time that :meth:`_next_time` told."""
        self._move(time)
        self.now = time
        if self._finish <= time:
            # Even if rounding left something of it: this was its time.
            self._finish_next()
            while (finish := self._next_finish()) <= time * (1 + SLACK):
                self._finish_next()
            self._finish = finish
        change = self._changes.top()
        if change is None or change[0] > time:
            return
        self._uneventful += 1
        if self._uneventful > MAX_CHANGES:
            raise TransferNeverEnds(
                f"flow {min(self._flows)} has not finished at {time:g} s, after {MAX_CHANGES} "
                "changes of capacity"
            )
        while self._finish < math.inf and self._next_rest() <= LEFTOVER:
            self._finish_next()
            self._finish = self._next_finish()
        while (change := self._changes.top()) is not None and change[0] <= time:
            self._change(change)

    def _change(self, entry: list[Any]) -> None:
        changed = entry[2]
        self.events += 1
        if isinstance(changed, int):
            link = self._links[changed]
            link.step()
            self._put_off(entry, link)
            self._stale = True
            return
        before = changed.cap.rate
        try:
            changed.cap.step()
        except TraceError as error:
            raise TraceError(str(error), changed.flow) from None
        if not self._put_off(entry, changed.cap):
            changed.change = None
        if changed.cap.rate != before:
            self._recap(changed)
            self._stale = True

    def _put_off(self, entry: list[Any], cursor: Cursor) -> bool:
        """A change is over; whether there is another, for which its entry waits from now on."""
        if cursor.until == math.inf:
            self._changes.withdraw(entry)
            return False
        self._changes.postpone(entry, cursor.until)
        return True

    def _repeated(self) -> float:
        """The time by which all capacities that change have settled or repeated together.

        Of periods as they are written: 0.1 s and 0.3 s have 0.3 s in common, although the nearest
        floats have not. Infinite if it would not be reached within ``MAX_CHANGES``.
        """
        caps = [upload.cap for upload in self._flows.values() if upload.cap is not None]
        begin, common, periods = self.now, Fraction(0), set()
        for cursor in (*self._links, *caps):
            if cursor.period is not None:
                periods.add(cursor.period)
            elif cursor.until < math.inf:
                begin = max(begin, cursor.settled)
        for period in sorted(periods):
            exact = Fraction(repr(period))
            common = _lowest_common_multiple(common, exact) if common else exact
            if common > MAX_CHANGES * exact:
                return math.inf
        return begin + float(common)

    @abstractmethod
    def _share(self) -> None:
        """Work out the rates of the present flows under the present capacities."""

    @abstractmethod
    def _next_finish(self) -> float:
        """Time at which the next flow finishes at the present rates, seconds; ``inf`` for never."""

    @abstractmethod
    def _next_rest(self) -> float:
        """Rest of that flow, as a share of its size."""

    @abstractmethod
    def _finish_next(self) -> None:
        """That flow has finished."""

    @abstractmethod
    def _flowing(self) -> bool:
        """True if any flow has a rate above zero."""

    @abstractmethod
    def _move(self, time: float) -> None:
        """Deliver at the present rates from now to a time."""

    @abstractmethod
    def _join(self, upload: U, remaining: float) -> None:
        """A flow is there, with bytes left."""

    @abstractmethod
    def _leave(self, upload: U) -> float:
        """A flow is gone; bytes of it that were left."""

    @abstractmethod
    def _recap(self, upload: U) -> None:
        """A flow's cap is another."""


def _lowest_common_multiple(one: Fraction, other: Fraction) -> Fraction:
    return Fraction(
        math.lcm(one.numerator * other.denominator, other.numerator * one.denominator),
        one.denominator * other.denominator,
    )
