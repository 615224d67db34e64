"""An emulator of links: packets read from TUN devices, held up as links would, and written on.

Linux's own shaper, netem, is no part of many kernels, and knows no rate that changes. This one is a
process that opens a TUN device an end, which is then moved into a network namespace, and passes
packets on: a client's own queue and rate, then a shared one, then the delay. The time at which a
packet leaves a queue is worked out as it comes, so that a loop that is late by a millisecond is so
once and does not lose capacity.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import heapq
import itertools
import json
import math
import os
import random
import select
import struct
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000

LONGEST_PACKET = 65_536


@dataclass(frozen=True)
class PipeSpec:
    """One direction of a link.

    Attributes
    ----------
    steps
        Seconds since the start, and bits/s from then on, 0 for an outage.
    queue
        Bytes that may wait at its entrance, the packet on its way included; more are dropped.
    loss
        Probability that a packet is lost behind the queue.
    fair
        Whether each client has a queue of its own (of so many bytes) and its turn, a packet at a
        time, as with Linux's fq_codel; the rate is the first step's at all times then, and nothing
        is lost behind it.
    """

    steps: tuple[tuple[float, float], ...]
    queue: float = math.inf
    loss: float = 0.0
    fair: bool = False


class Pipe:
    """A queue and the rate that empties it: the time at which each packet leaves.

    Parameters
    ----------
    spec
        What it does.
    seed
        Of the draws of losses.
    """

    def __init__(self, spec: PipeSpec, seed: int = 0) -> None:
        self._times = [time for time, _ in spec.steps]
        self._rates = [rate / 8 for _, rate in spec.steps]
        self._queue, self._loss = spec.queue, spec.loss
        self._random = random.Random(seed)
        self._at, self._free, self._backlog = 0, 0.0, 0
        self._waiting: deque[tuple[float, int]] = deque()
        self.dropped = self.lost = 0

    def push(self, now: float, length: int) -> float | None:
        """Time at which a packet that comes now is through, seconds; None if it never is."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            self._backlog -= waiting.popleft()[1]
        if self._backlog + length > self._queue:
            self.dropped += 1
            return None
        self._free = self._finish(max(now, self._free), length)
        waiting.append((self._free, length))
        self._backlog += length
        if self._loss and self._random.random() < self._loss:
            self.lost += 1
            return None
        return self._free

    def _finish(self, start: float, length: float) -> float:
        """Time at which so many bytes are through that have the pipe from ``start`` on."""
        times, rates, last = self._times, self._rates, len(self._times) - 1
        while self._at < last and times[self._at + 1] <= start:
            self._at += 1
        at, rest = self._at, length
        while True:
            until = times[at + 1] if at < last else math.inf
            if rates[at] and start + rest / rates[at] <= until:
                return start + rest / rates[at]
            if at == last:
                return math.inf
            rest -= rates[at] * (until - start)
            start, at = until, at + 1


@dataclass
class Packet:
    """A packet on its way.

    Attributes
    ----------
    client
        Whose it is.
    to
        The device that it is written to in the end.
    content
        Its bytes.
    way
        The links that it has yet to pass.
    delay
        Seconds that it takes after the last one.
    """

    client: int
    to: int
    content: bytes
    way: tuple[Pipe | FairPipe, ...]
    delay: float


class FairPipe:
    """A link that serves its clients in turn, a packet each.

    Parameters
    ----------
    spec
        What it does.
    """

    lost = 0

    def __init__(self, spec: PipeSpec) -> None:
        self._rate, self._queue = spec.steps[0][1] / 8, spec.queue
        self._waiting: defaultdict[int, deque[Packet]] = defaultdict(deque)
        self._backlog: Counter[int] = Counter()
        self._turns: deque[int] = deque()
        self.dropped = 0

    def push(self, now: float, packet: Packet) -> float | None:
        """Put a packet in; the time at which it is through, if the link was idle, or None."""
        flow, length = packet.client, len(packet.content)
        if self._backlog[flow] + length > self._queue:
            self.dropped += 1
            return None
        was_idle = not self._turns
        if not self._waiting[flow]:
            self._turns.append(flow)
        self._waiting[flow].append(packet)
        self._backlog[flow] += length
        return self._next(now) if was_idle else None

    def pop(self, now: float) -> tuple[Packet, float | None]:
        """Take out the packet that is through now; and the time at which the next one is."""
        flow = self._turns.popleft()
        packet = self._waiting[flow].popleft()
        self._backlog[flow] -= len(packet.content)
        if self._waiting[flow]:
            self._turns.append(flow)
        return packet, self._next(now) if self._turns else None

    def _next(self, now: float) -> float:
        return now + len(self._waiting[self._turns[0]][0].content) / self._rate


@dataclass(frozen=True)
class Path:
    """The way of one client to the server and back.

    Attributes
    ----------
    device, address
        Name of its TUN device, and the client's address, as four bytes.
    up, down
        Its own link.
    round_trip
        Seconds, without any queue.
    """

    device: str
    address: tuple[int, int, int, int]
    up: PipeSpec
    down: PipeSpec
    round_trip: float


@dataclass(frozen=True)
class Topology:
    """Clients, and the server behind its door.

    Attributes
    ----------
    device
        Name of the server's TUN device.
    ingress, egress
        The links that all clients share, in and out; None for none.
    """

    device: str
    paths: tuple[Path, ...]
    ingress: PipeSpec | None = None
    egress: PipeSpec | None = None

    def to_json(self) -> str:
        """One line, for a process of its own."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Topology:
        """Inverse of :meth:`to_json`."""
        data = json.loads(text)
        paths = tuple(
            Path(
                each["device"], tuple(each["address"]), _pipe(each["up"]), _pipe(each["down"]),
                each["round_trip"],
            )
            for each in data["paths"]
        )  # fmt: skip
        doors = (None if data[key] is None else _pipe(data[key]) for key in ("ingress", "egress"))
        return cls(data["device"], paths, *doors)


def _pipe(data: dict[str, Any]) -> PipeSpec:
    return PipeSpec(tuple(map(tuple, data["steps"])), data["queue"], data["loss"], data["fair"])


def _made(spec: PipeSpec, seed: int) -> Pipe | FairPipe:
    return FairPipe(spec) if spec.fair else Pipe(spec, seed)


def open_tun(name: str) -> int:
    """File descriptor of a new TUN device of raw IP packets, which goes with it."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return descriptor


@dataclass
class Emulator:
    """Packets between the TUN devices of a topology.

    Attributes
    ----------
    topology
        What lies between them.
    seed
        Of the losses.
    """

    topology: Topology
    seed: int = 0
    _due: list[tuple[float, int, Packet | FairPipe]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._number = itertools.count()
        self._server = open_tun(self.topology.device)
        self._clients = [open_tun(path.device) for path in self.topology.paths]
        self._by_address = {bytes(path.address): at for at, path in enumerate(self.topology.paths)}
        self._source = {descriptor: at for at, descriptor in enumerate(self._clients)}
        self.reset()

    def reset(self) -> None:
        """Begin anew: nothing on its way, and the steps of every link from their start."""
        self._due.clear()
        seeds = itertools.count(self.seed * 10_007)
        paths, topology = self.topology.paths, self.topology
        self._up = [Pipe(path.up, next(seeds)) for path in paths]
        self._down = [Pipe(path.down, next(seeds)) for path in paths]
        doors = (topology.ingress, topology.egress)
        ingress, egress = (() if spec is None else (_made(spec, next(seeds)),) for spec in doors)
        self._ways_up = [(pipe, *ingress) for pipe in self._up]
        self._ways_down = [(*egress, pipe) for pipe in self._down]
        self._start = time.monotonic()

    def counts(self) -> dict[str, int]:
        """Packets dropped at full queues and lost behind them, since the last reset."""
        pipes = {id(pipe): pipe for way in (*self._ways_up, *self._ways_down) for pipe in way}
        return {
            "dropped": sum(pipe.dropped for pipe in pipes.values()),
            "lost": sum(pipe.lost for pipe in pipes.values()),
        }

    def run(self, control: int) -> None:
        """Pass packets on until the control's other end is closed.

        For each line from there it begins anew, and tells :meth:`counts` until then, a line of
        JSON on standard output.
        """
        gc.disable()
        descriptors = [self._server, *self._clients, control]
        while True:
            wait = None
            if self._due:
                wait = max(0.0, self._due[0][0] - (time.monotonic() - self._start))
            ready, _, _ = select.select(descriptors, (), (), wait)
            for descriptor in ready:
                if descriptor == control:
                    lines = os.read(control, 4096).splitlines()
                    if not lines:
                        return
                    for _ in lines:
                        counts = self.counts()
                        self.reset()
                        print(json.dumps(counts), flush=True)
                else:
                    self._read(descriptor)
            self._pass_on()

    def _read(self, descriptor: int) -> None:
        for _ in range(64):
            try:
                packet = os.read(descriptor, LONGEST_PACKET)
            except BlockingIOError:
                return
            if packet[0] >> 4 != 4:
                continue
            now = time.monotonic() - self._start
            client = self._source.get(descriptor)
            if client is None:
                client = self._by_address.get(packet[16:20])
                if client is None:
                    continue
                to, way = self._clients[client], self._ways_down[client]
            else:
                to, way = self._server, self._ways_up[client]
            delay = self.topology.paths[client].round_trip / 2
            self._enter(now, Packet(client, to, packet, way, delay))

    def _schedule(self, time_: float, event: Packet | FairPipe) -> None:
        if time_ < math.inf:
            heapq.heappush(self._due, (time_, next(self._number), event))

    def _enter(self, now: float, packet: Packet) -> None:
        """A packet comes to the next link on its way."""
        pipe, packet.way = packet.way[0], packet.way[1:]
        if isinstance(pipe, FairPipe):
            if (through := pipe.push(now, packet)) is not None:
                self._schedule(through, pipe)
        elif (through := pipe.push(now, len(packet.content))) is not None:
            self._leave(through, packet)

    def _leave(self, through: float, packet: Packet) -> None:
        """A packet is through a link at a time that may lie ahead."""
        self._schedule(through if packet.way else through + packet.delay, packet)

    def _pass_on(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic() - self._start:
            due, _, event = heapq.heappop(self._due)
            if isinstance(event, FairPipe):
                packet, following = event.pop(due)
                if following is not None:
                    self._schedule(following, event)
                self._leave(due, packet)
            elif event.way:
                self._enter(due, event)
            else:
                # A device whose queue is full drops it.
                with contextlib.suppress(OSError):
                    os.write(event.to, event.content)


def main(arguments: Iterable[str]) -> None:
    """The process: a topology and a seed in, ``ready`` out, then packets."""
    topology, seed = arguments
    emulator = Emulator(Topology.from_json(topology), int(seed))
    print("ready", flush=True)
    emulator.run(sys.stdin.fileno())


if __name__ == "__main__":
    main(sys.argv[1:])
