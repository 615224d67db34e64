"""The backlog of one FIFO: what senders that fill a link keep waiting at its entrance.

A sender that fills its link has in the air what the link carries in a round trip; whatever its
window holds beyond that waits in the queue, where all who come later wait behind it. CUBIC and Reno
let their windows grow until the queue is full and drops a packet, take them back, and grow again;
BBR keeps to the rate that it has measured. Windows grow here round trip by round trip, the wait in
the queue being part of each, until the queue has been full once; from then on the backlog is held
at its mean between two losses, which take place at the same time for all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from fsim.network.transports.congestion import Congestion
from fsim.network.transports.pace import Window
from fsim.network.transports.packets import SEGMENT_WIRE

SHORTEST_ROUND = 1e-3
"""Seconds of a round trip at the least, lest there be no end of them."""

EARLY_SEGMENTS = 8
"""Acknowledgements of a round that HyStart looks at (RFC 9406, section 4.3, N_RTT_SAMPLE)."""

LEAST_WAIT, LONGEST_WAIT, PART_OF_ROUND_TRIP = 0.004, 0.016, 8
"""Seconds, and a part of the round trip between them, of a wait that HyStart notices (the same)."""

EARLY_WINDOW = 16
"""Segments below which Linux's HyStart ends no slow start (net/ipv4/tcp_cubic.c)."""

STARTUP_GAIN = 2 / math.log(2)
"""BBR's window in its startup, in bandwidth-delay products (Cardwell et al., 2016)."""

STARTUP_ROUNDS = 3
"""Round trips without more bandwidth after which BBR takes the pipe for full."""

PROBE = 0.125
"""What BBR has in the air beyond a bandwidth-delay product: half of what a probe adds to it."""

BURSTS = 3 * SEGMENT_WIRE
"""Bytes that it has in the air besides: three bursts, each a packet at least, that Linux grants
for its pacing (net/ipv4/tcp_bbr.c, bbr_quantization_budget)."""


class Stream:
    """A sender that sends without a pause, and its window.

    Parameters
    ----------
    window
        As it begins to.
    control
        Its congestion control.
    round_trip
        Seconds, without any queue.
    size
        Bytes on the wire that it has to send.

    Attributes
    ----------
    rest
        Bytes on the wire that have not passed the link.
    rate
        Bytes/s from now on.
    due
        Seconds, when its window grows next.
    is_settled
        Whether its window grows no more.
    """

    __slots__ = ("_rounds", "_since", "_threshold", "control", "due", "is_settled", "rate", "rest",
                 "round_trip", "window")  # fmt: skip

    def __init__(self, window: Window, control: Congestion, round_trip: float, size: float) -> None:
        self.window, self._threshold = window.size, window.threshold
        self.control, self.round_trip, self.rest = control, round_trip, size
        self.rate, self.due, self.is_settled = 0.0, math.inf, False
        self._rounds, self._since = 0, 0.0

    @property
    def pipe(self) -> float:
        """Bytes that the link carries of it in a round trip."""
        return self.rate * self.round_trip

    @property
    def excess(self) -> float:
        """Bytes that wait in the queue of a link that limits it."""
        window = self.window
        if self.is_settled and not self.control.yields:
            window = (1 + PROBE) * self.pipe + BURSTS
        return max(0.0, min(window, self.rest) - self.pipe)

    def run(self, time: float) -> None:
        """Send at its rate until a time, seconds."""
        self.rest = max(0.0, self.rest - self.rate * (time - self._since))
        self._since = time

    def enter(self, capacity: float) -> None:
        """Note that a link of so many bytes/s limits it: half its window has filled the link."""
        if self.control.yields and self.window < self._threshold:
            self._leave_early((min(self.window / 2, self.rest) - self.pipe) / capacity)

    def _leave_early(self, wait: float) -> None:
        """End its slow start after a round trip with a wait, if its control looks at that.

        The wait is noticed in the next round, by its first acknowledgements.
        """
        noticed = max(LEAST_WAIT, min(self.round_trip / PART_OF_ROUND_TRIP, LONGEST_WAIT))
        large = self.window >= EARLY_WINDOW * SEGMENT_WIRE
        if self.control.leaves_early and large and wait > noticed:
            self.window += EARLY_SEGMENTS * SEGMENT_WIRE
            self._threshold = self.window

    def grow(self, wait: float) -> None:
        """Let a round trip pass, ``wait`` seconds of it in the queue."""
        if self.window >= self.rest:
            return  # all that is left is in the air
        segments = self.window / SEGMENT_WIRE
        if not self.control.yields:
            self._rounds += 1
            self.is_settled = self._rounds > STARTUP_ROUNDS
            self.window = max(self.window, min(2 * self.window, STARTUP_GAIN * self.pipe))
        elif self.window < self._threshold:
            self.window *= 2
            self._leave_early(wait)
        else:
            # It aims at a round trip without the wait ahead, and comes there after one with it;
            # and here it stands still for a round: for its middle.
            seconds, ahead = max(SHORTEST_ROUND, self.round_trip + wait), self.round_trip - wait
            self.window = self.control.grown(segments, seconds, ahead / 2) * SEGMENT_WIRE

    @property
    def highest(self) -> float:
        """Its window as a loss finds it, bytes."""
        return self.window / self.control.mean if self.is_settled else self.window

    def settle(self, highest: float) -> None:
        """The queue is full, with a window of so many bytes; from now on it has its mean."""
        self._threshold = self.control.reduced(highest / SEGMENT_WIRE) * SEGMENT_WIRE
        self.window = highest * self.control.mean
        self.is_settled = True


class Backlog:
    """The bytes that wait at the entrance of a link.

    Parameters
    ----------
    queue
        Bytes that fit.
    """

    def __init__(self, queue: float) -> None:
        self._queue = queue
        self._streams: dict[int, Stream] = {}
        self._capacity = 0.0
        self._now = 0.0

    def limit(self, capacity: float, streams: Mapping[int, Stream]) -> None:
        """Say what the link has now, bytes/s, and which streams it limits, by their numbers.

        Where one is gone the windows of the others may grow again.
        """
        before, self._streams, self._capacity = self._streams, dict(streams), capacity
        if not before.keys() <= streams.keys():
            for flow in before.keys() & streams.keys():
                self._release(streams[flow])
        news = [stream for flow, stream in streams.items() if flow not in before]
        for stream in news:
            if math.isinf(stream.due):
                stream.enter(capacity)
        for stream in news:
            self._release(stream)
            stream.due = self._now + self._round(stream)

    def _release(self, stream: Stream) -> None:
        if stream.is_settled and stream.control.yields:
            stream.is_settled, stream.due = False, self._now + self._round(stream)

    def advance(self, time: float) -> None:
        """Let the clock go on to a time, seconds."""
        while growing := [
            stream
            for stream in self._streams.values()
            if not stream.is_settled and stream.due <= time
        ]:
            due = min(stream.due for stream in growing)
            self._run(due)
            growing, wait = [stream for stream in growing if stream.due <= due], self.seconds
            for stream in growing:
                stream.grow(wait)
            self._drop()
            for stream in growing:
                stream.due = self._now + self._round(stream)
        self._run(time)

    @property
    def amount(self) -> float:
        """Bytes that wait."""
        return min(self._queue, sum(stream.excess for stream in self._streams.values()))

    @property
    def seconds(self) -> float:
        """Seconds that a packet waits which comes now; 0 where nothing moves, as all wait then."""
        return self.amount / self._capacity if self._capacity else 0.0

    def _round(self, stream: Stream) -> float:
        return max(SHORTEST_ROUND, stream.round_trip + self.seconds)

    def _run(self, time: float) -> None:
        self._now = max(self._now, time)
        for stream in self._streams.values():
            stream.run(self._now)

    def _drop(self) -> None:
        """Senders take back their windows if more waits than fits."""
        streams = list(self._streams.values())
        if sum(stream.excess for stream in streams) <= self._queue:
            return
        streams = [stream for stream in streams if stream.control.yields]
        room = self._queue + sum(stream.pipe for stream in streams)
        share = min(1.0, room / max(1.0, sum(stream.highest for stream in streams)))
        for stream in streams:
            stream.settle(share * stream.highest)
