"""One shared link, however many flows: each event costs the logarithm of their number.

Weighted max-min fair sharing of one link has a single level L, in bytes/s for each unit of weight:
a flow has min(cap, weight x L). Flows whose cap divided by their weight, their *key*, is below L
are *capped*, the others are *at level*, and

    L = (capacity - caps of the capped) / (weights of those at level).

Time runs differently for the two. Capped flows deliver ``key`` per weight and second. Those at
level deliver what the level clock V(t) = integral of L dt shows, the virtual time of generalised
processor sharing (Parekh and Gallager, IEEE/ACM Transactions on Networking 1(3), 1993); a change of
L moves none of their finishes on that clock. Flows of one key always deliver the same for each unit
of weight, whatever L does, so they are kept as one *group* with a clock of its own, on which a
flow's finish stands still. Only groups that cross the level cost more than the event itself.
"""

from __future__ import annotations

import math
from typing import Any

from fsim.network.links.capacity import Capacity
from fsim.network.links.cursor import Cursor
from fsim.network.sharing.base import Sharing, Upload
from fsim.network.sharing.events import LazyHeap

TIE = 1e-12
"""A group this close to the level, relative, stays on its side of it: rates are right to this, and
rounding never moves a group to and fro."""


class _Sum:
    """A sum that is added to and taken from without drift: the rounding errors are kept along.

    Knuth's two-sum (The Art of Computer Programming 2, section 4.2.2, theorem B).
    """

    __slots__ = ("_high", "_low")

    def __init__(self) -> None:
        self._high = self._low = 0.0

    def add(self, value: float) -> None:
        """Add a value, which may be negative."""
        high = self._high
        total = high + value
        part = total - high
        self._low += (high - (total - part)) + (value - part)
        self._high = total

    def below(self, value: float) -> float:
        """Distance of the sum below a value."""
        return (value - self._high) - self._low

    def clear(self) -> None:
        """Back to zero."""
        self._high = self._low = 0.0


class _Group:
    """Flows of one key.

    Attributes
    ----------
    key
        Bytes/s for each unit of weight that its flows may have at most.
    served
        Bytes for each unit of weight that it had delivered at ``anchor``.
    anchor
        Seconds if it is capped, a reading of the level clock if it is at level.
    weight, rate
        Sum of its flows' weights, and that times its key.
    flows
        Its flows by the ``served`` at which they finish.
    side
        Its entry among the groups on its side of the level.
    finish
        Its entry among the next finishes on its side; None if it has none.
    """

    __slots__ = ("anchor", "at_level", "finish", "flows", "key", "rate", "served", "side", "weight")

    def __init__(self, key: float, at_level: bool, anchor: float) -> None:
        self.key = key
        self.at_level = at_level
        self.anchor = anchor
        self.served = 0.0
        self.weight = 0.0
        self.rate = 0.0
        self.flows = LazyHeap()
        self.side: list[Any]
        self.finish: list[Any] | None = None


class _Member(Upload):
    """An upload in a group, which finishes when the group has served ``entry[0]``."""

    __slots__ = ("entry", "group")
    entry: list[Any]
    group: _Group


class SharedLink(Sharing[_Member]):
    """Flows over one shared link, each with a weight and a cap of its own.

    An arrival, departure or change of capacity takes time logarithmic in the number of flows, and
    as much again for each distinct cap/weight that it moves across the level.

    Parameters
    ----------
    capacity
        The shared link.
    start
        Seconds on the clock to begin with.

    Attributes
    ----------
    crossings
        How often a group went from one side of the level to the other.

    Examples
    --------
    >>> link = SharedLink(Capacity.constant(100.0))
    >>> first, second = link.add(0.0, 300.0), link.add(0.0, 100.0)
    >>> link.next_event()
    2.0
    >>> link.advance(10.0)
    [(1, 2.0), (0, 4.0)]
    """

    _kind = _Member

    def __init__(self, capacity: Capacity, start: float = 0.0) -> None:
        super().__init__([capacity], start)
        self.crossings = 0
        self.level = math.inf
        self._clock = _Sum()  # V
        self._groups: dict[float, _Group] = {}
        self._capped, self._capped_rate = LazyHeap(), _Sum()  # highest key first
        self._at_level, self._level_weight = LazyHeap(), _Sum()  # lowest key first
        self._capped_finish = LazyHeap()  # by time
        self._level_finish = LazyHeap()  # by V
        self._head: _Group | None = None

    def add(
        self,
        time: float,
        size: float,
        cap: Capacity | Cursor | None = None,
        weight: float = 1.0,
        flow: int | None = None,
    ) -> int:
        """Let a flow begin.

        Parameters
        ----------
        time
            Seconds.
        size
            Bytes.
        cap
            Its own link, on the clock of the simulation, or a cursor of its own that stands at that
            time; None for no limit.
        weight
            Its share beside the others'.
        flow
            Its number; by default one above the highest so far.

        Returns
        -------
        int
            Its number.

        Raises
        ------
        ValueError
            No such size, weight or number is allowed, or the clock is past that time.
        TraceError
            A capacity says nothing about that time.
        """
        return self._add(time, size, cap, weight, flow, (0,))

    def rates(self) -> dict[int, float]:
        """Bytes/s of every flow now."""
        self._next_time()
        return {
            number: upload.weight * (self.level if upload.group.at_level else upload.group.key)
            for number, upload in self._flows.items()
        }

    def _share(self) -> None:
        # First groups whose key turned out to be above the level, highest first; then those at
        # level whose key is below it, lowest first. Both only raise the level, so neither undoes
        # the other.
        capacity = self._links[0].rate
        while (top := self._capped.top()) is not None:
            if self._at_level:
                if -top[0] <= self._level_now(capacity) * (1 + TIE):
                    break
            elif self._capped_rate.below(capacity) >= -capacity * TIE:
                break
            self._cross(top[2])
        self.level = math.inf
        while (top := self._at_level.top()) is not None:
            self.level = self._level_now(capacity)
            if top[0] >= self.level * (1 - TIE):
                return
            self._cross(top[2])
            self.level = math.inf

    def _level_now(self, capacity: float) -> float:
        weight = -self._level_weight.below(0.0)
        return max(0.0, self._capped_rate.below(capacity) / weight)

    def _cross(self, group: _Group) -> None:
        self.crossings += 1
        group.served = self._served(group)
        self._leave_side(group)
        group.at_level = not group.at_level
        self._enter_side(group)
        self._publish(group)

    def _served(self, group: _Group) -> float:
        """Bytes for each unit of weight that a group has delivered by now."""
        if group.at_level:
            return group.served - self._clock.below(group.anchor)
        return group.served + group.key * (self.now - group.anchor)

    def _enter_side(self, group: _Group) -> None:
        if group.at_level:
            if not self._at_level:
                self._clock.clear()  # nobody reads it: begin again, at full precision
                self._level_weight.clear()
            group.anchor = -self._clock.below(0.0)
            group.side = self._at_level.push(group.key, group)
        else:
            if not self._capped:
                self._capped_rate.clear()
            group.anchor = self.now
            group.side = self._capped.push(-group.key, group)
        self._weigh(group, group.weight)

    def _leave_side(self, group: _Group) -> None:
        if group.finish is not None:
            finishes = self._level_finish if group.at_level else self._capped_finish
            finishes.withdraw(group.finish)
            group.finish = None
        if group.at_level:
            self._at_level.withdraw(group.side)
            self._level_weight.add(-group.weight)
        else:
            self._capped.withdraw(group.side)
            self._capped_rate.add(-group.rate)

    def _weigh(self, group: _Group, weight: float) -> None:
        """Enter a group's weight into the sums, where it must not be."""
        # What is taken out later is to the bit what is put in here: the sums cannot drift.
        group.weight = weight
        if group.at_level:
            self._level_weight.add(weight)
        else:
            group.rate = group.key * weight
            self._capped_rate.add(group.rate)

    def _reweigh(self, group: _Group, weight: float) -> None:
        if group.at_level:
            self._level_weight.add(-group.weight)
        else:
            self._capped_rate.add(-group.rate)
        self._weigh(group, weight)

    def _publish(self, group: _Group) -> None:
        """Say anew when the first of a group finishes."""
        finishes = self._level_finish if group.at_level else self._capped_finish
        if group.finish is not None:
            finishes.withdraw(group.finish)
            group.finish = None
        first = group.flows.top()
        assert first is not None
        remaining = first[0] - group.served
        if group.at_level:
            group.finish = finishes.push(group.anchor + remaining, group)
        elif group.key > 0:
            group.finish = finishes.push(group.anchor + remaining / group.key, group)

    def _next_finish(self) -> float:
        time = math.inf
        top = self._capped_finish.top()
        if top is not None:
            time, self._head = top[0], top[2]
        top = self._level_finish.top()
        if top is not None and self.level > 0:
            at_level = self.now + self._clock.below(top[0]) / self.level
            if at_level < time:
                time, self._head = at_level, top[2]
        return time

    def _first(self) -> tuple[_Group, _Member]:
        group = self._head
        assert group is not None
        first = group.flows.top()
        assert first is not None
        return group, first[2]

    def _next_rest(self) -> float:
        group, upload = self._first()
        return self._remaining(group, upload) / upload.size

    def _remaining(self, group: _Group, upload: _Member) -> float:
        remaining: float = (upload.entry[0] - self._served(group)) * upload.weight
        return max(0.0, remaining)

    def _finish_next(self) -> None:
        self._finish_flow(self._first()[1])

    def _flowing(self) -> bool:
        return (self.level > 0 and len(self._at_level) > 0) or self._capped_rate.below(0.0) < 0

    def _move(self, time: float) -> None:
        if self._at_level and self.level > 0:
            self._clock.add(self.level * (time - self.now))

    def _join(self, upload: _Member, remaining: float) -> None:
        key = math.inf if upload.cap is None else upload.cap.rate / upload.weight
        group = self._groups.get(key)
        if group is None:
            at_level = math.isinf(key) or key > self.level
            group = self._groups[key] = _Group(key, at_level, 0.0)
            group.weight = upload.weight
            self._enter_side(group)
        else:
            self._reweigh(group, group.weight + upload.weight)
        upload.group = group
        upload.entry = group.flows.push(self._served(group) + remaining / upload.weight, upload)
        if group.flows.top() is upload.entry:
            self._publish(group)

    def _leave(self, upload: _Member) -> float:
        group = upload.group
        remaining = self._remaining(group, upload)
        first = group.flows.top() is upload.entry
        group.flows.withdraw(upload.entry)
        if not group.flows:
            self._leave_side(group)
            del self._groups[group.key]
        else:
            self._reweigh(group, group.weight - upload.weight)
            if first:
                self._publish(group)
        return remaining

    def _recap(self, upload: _Member) -> None:
        assert upload.cap is not None
        group, key = upload.group, upload.cap.rate / upload.weight
        if len(group.flows) > 1 or key in self._groups:
            self._join(upload, self._leave(upload))
            return
        # Alone before and after: the group stays and only its key is another.
        group.served = self._served(group)
        self._leave_side(group)
        del self._groups[group.key]
        self._groups[key] = group
        group.key, group.at_level = key, key > self.level
        self._enter_side(group)
        self._publish(group)
