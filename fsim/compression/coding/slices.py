"""Payloads for a way on which packets get lost: every packet decodes alone.

The coordinates of the matrices that a round trains, one after another in the order of the layout,
are cut into slices, each as long as fits into one packet once the policy has encoded it as if it
were all of the update. So what a lost packet takes away is its own coordinates. Policies need no
code for it; what they do across an update elsewhere (the largest coordinates of all, one scale a
matrix, one table of codes) they do within each slice. Error feedback, where a policy has it, is
kept coordinate by coordinate; a budget is shared out by the slices' lengths.

A policy that needs whole matrices (:attr:`fsim.compression.Policy.whole_matrices`) gets as many of
them as fit. One that does not fit goes into several packets, of which all must arrive.

A packet is, each as a varint, the first coordinate, how many there are, twice how many packets they
take, plus 1 if the payload is without the beginning of its frame, which the server knows
(:func:`fsim.compression.coding.wire.frame_start`), and, where the packets are several, which one
this is; then the payload, or its part.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fsim.compression.coding.wire import decode_varint, encode_varint, frame_start
from fsim.compression.feedback import RESIDUAL
from fsim.compression.policy import EncodingContext, Policy
from fsim.core.errors import PayloadError
from fsim.core.types import Coverage, FloatArray, Layout, TensorSpec, Update

FULL = 0.97
"""Share of a packet from which on it counts as full."""

TRIALS = 8
"""Lengths that are tried for a slice at the most."""

_FIRST_BITS = 16.0
"""Bits of a coordinate that the first slice begins with."""

_HEAD = 11
"""Bytes of a packet's head at the most, of an adapter of up to 2**28 coordinates."""

_GOLDEN = 0x9E3779B97F4A7C15
"""An odd number that takes seeds of neighbours far apart (2**64 over the golden ratio)."""


def trained_names(policy: Policy, names: Sequence[str], round_number: int) -> tuple[str, ...]:
    """The tensors that a round trains, in the order in which they are cut."""
    return tuple(name for name in sorted(names) if policy.trains(name, round_number))


def encode_slices(
    policy: Policy, update: Update, context: EncodingContext, packet: int
) -> list[bytes]:
    """An update as packets of ``packet`` bytes at the most.

    Raises
    ------
    ValueError
        As the policy's ``encode``; or a packet in which not even one coordinate has room.
    """
    names = trained_names(policy, tuple(update), context.round_number)
    source = _Source.of(policy, {name: update[name] for name in names}, context, packet)
    packets: list[bytes] = []
    begin, length = 0, source.first_length
    while begin < source.layout.size:
        piece = source.matrices(begin) if policy.whole_matrices else source.fill(begin, length)
        _put(context.memory, piece.memory, piece.begin, piece.end, source.layout.size)
        packets += piece.packets(packet)
        begin = piece.end
        if not source.shares_budget:
            length = piece.end - piece.begin
    return packets


def decode_slices(
    policy: Policy, packets: Sequence[bytes | None], layout: Layout, trained: Sequence[str]
) -> tuple[Update, Coverage]:
    """The update, zero where nothing arrived, and what arrived.

    A tensor that the round does not train is not missing.

    Parameters
    ----------
    policy, layout
        That the packets were encoded by and for.
    packets
        In the order of sending, None for one that is lost.
    trained
        Names of the tensors that were (:func:`trained_names`).

    Raises
    ------
    PayloadError
        What arrived was not made by :func:`encode_slices`.
    """
    specs = {spec.name: spec for spec in layout.tensors}
    cut = Layout(tuple(specs[name] for name in trained))
    vector = np.zeros(cut.size, dtype=np.float32)
    arrived = np.zeros(cut.size, dtype=bool)
    for begin, end, cropped, payload in _whole_payloads(packets, cut.size):
        part = _slice_layout(cut, begin, end)
        if cropped:
            payload = frame_start(policy.name, part) + payload
        vector[begin:end] = part.flatten(policy.decode(payload, part))
        arrived[begin:end] = True
    update = {spec.name: np.zeros(spec.shape, dtype=np.float32) for spec in layout.tensors}
    coverage = {spec.name: np.ones(spec.shape, dtype=bool) for spec in layout.tensors}
    for spec, first, last in zip(cut.tensors, cut.bounds, cut.bounds[1:], strict=False):
        update[spec.name] = vector[first:last].reshape(spec.shape)
        coverage[spec.name] = arrived[first:last].reshape(spec.shape)
    return update, coverage


@dataclass(frozen=True)
class _Piece:
    """Coordinates from ``begin`` to ``end``, encoded, and what the client remembers then.

    The payload is ``cropped`` where it is without the beginning of its frame.
    """

    begin: int
    end: int
    payload: bytes
    cropped: bool
    memory: dict[str, Any]

    def _count(self, packets: int) -> bytes:
        return encode_varint(2 * packets + self.cropped)

    @property
    def place(self) -> bytes:
        """Its coordinates, as a packet names them."""
        return encode_varint(self.begin) + encode_varint(self.end - self.begin)

    def filled(self, packet: int) -> float:
        """Share of the room in a packet that it takes; more than 1 if it does not fit."""
        room = packet - len(self.place) - 1
        return len(self.payload) / room if room > 0 else math.inf

    def packets(self, packet: int) -> list[bytes]:
        """Its packets, one if it fits."""
        if self.filled(packet) <= 1:
            return [self.place + self._count(1) + self.payload]
        count = 2
        while True:
            head = self.place + self._count(count)
            heads = [head + encode_varint(at) for at in range(count)]
            rooms = [packet - len(head) for head in heads]
            if min(rooms) < 1:
                raise ValueError(f"found packets of {packet} bytes, in which a matrix has no room")
            if (missing := len(self.payload) - sum(rooms)) <= 0:
                break
            count += -(-missing // max(rooms))
        ends = np.cumsum([0, *rooms]).tolist()
        return [
            head + self.payload[first:last]
            for head, first, last in zip(heads, ends, ends[1:], strict=False)
        ]


@dataclass(frozen=True)
class _Source:
    """The update to cut, and the policy that encodes it."""

    policy: Policy
    layout: Layout
    vector: FloatArray
    fisher: FloatArray | None
    context: EncodingContext
    packet: int

    @classmethod
    def of(cls, policy: Policy, update: Update, context: EncodingContext, packet: int) -> _Source:
        """All tensors of an update."""
        layout, fisher = Layout.of(update), None
        if context.fisher is not None:
            fisher = layout.flatten({name: context.fisher[name] for name in update})
        return cls(policy, layout, layout.flatten(update), fisher, context, packet)

    @property
    def shares_budget(self) -> bool:
        """True if slices are as long as their share of a budget says."""
        return self.context.budget is not None and self.policy.keeps_to_budget

    @property
    def first_length(self) -> int:
        """Coordinates that the first slice is tried with."""
        if self.shares_budget:
            # Of equal length, so that the last one has no smaller budget than the others.
            return -(-self.layout.size // -(-max(1, self.context.budget or 0) // self.packet))
        return max(1, int(8 * self.packet / _FIRST_BITS))

    def fill(self, begin: int, length: int) -> _Piece:
        """The slice from ``begin`` that fills a packet, or goes on to the end.

        Parameters
        ----------
        length
            Coordinates that are tried first; all that is tried where a budget is shared out.
        """
        rest = self.layout.size - begin
        best: _Piece | None = None
        longest = rest
        for _ in range(TRIALS):
            piece = self._encoded(begin, begin + self._length(min(length, longest), rest))
            length, filled = piece.end - begin, piece.filled(self.packet)
            if filled <= 1:
                best = piece
                if filled >= FULL or length == rest or self.shares_budget:
                    break
            else:
                longest = length - 1
            if longest < 1:
                break
            # A little less than would fill it at this rate, for rates differ.
            length = max(1, int(length / filled * (0.995 if filled <= 1 else 0.98)))
            if best is not None and self._length(min(length, longest), rest) <= best.end - begin:
                break
        while best is None:
            if longest < 1:
                raise ValueError(
                    f"found packets of {self.packet} bytes, in which no coordinate has room"
                )
            longest //= 2
            piece = self._encoded(begin, begin + max(1, longest))
            best = piece if piece.filled(self.packet) <= 1 else None
        return best

    def matrices(self, begin: int) -> _Piece:
        """As many whole matrices from ``begin`` as fit into a packet, one at least."""
        best: _Piece | None = None
        for end in self.layout.bounds[self.layout.bounds > begin].tolist():
            piece = self._encoded(begin, end)
            if best is not None and piece.filled(self.packet) > 1:
                return best
            best = piece
        assert best is not None
        return best

    def _length(self, length: int, rest: int) -> int:
        """Coordinates of a slice of at most so many."""
        return rest if length >= rest else max(1, self.policy.slice_length(length))

    def _encoded(self, begin: int, end: int) -> _Piece:
        layout, context = _slice_layout(self.layout, begin, end), self.context
        size = self.layout.size
        memory = _take(context.memory, begin, end, size)
        budget = context.budget
        if budget is not None:
            budget = max(0, int(budget * (end - begin) / size) - _HEAD)
        inner = dataclasses.replace(
            context,
            fisher=None if self.fisher is None else layout.unflatten(self.fisher[begin:end]),
            memory=memory,
            # Else all slices would choose the same places.
            seed=(context.seed + begin * _GOLDEN) % 2**63,
            budget=budget,
        )
        payload = self.policy.encode(layout.unflatten(self.vector[begin:end]), inner)
        start = frame_start(self.policy.name, layout)
        cropped = payload.startswith(start)
        return _Piece(begin, end, payload[len(start) * cropped :], cropped, memory)


def _slice_layout(layout: Layout, begin: int, end: int) -> Layout:
    """Of the coordinates from ``begin`` to ``end``; a tensor that is cut is a vector."""
    specs = []
    bounds = layout.bounds.tolist()
    for spec, first, last in zip(layout.tensors, bounds, bounds[1:], strict=False):
        inside = min(last, end) - max(first, begin)
        if inside > 0:
            specs.append(spec if inside == spec.size else TensorSpec(spec.name, (inside,)))
    return Layout(tuple(specs))


def _take(memory: Mapping[str, Any], begin: int, end: int, size: int) -> dict[str, Any]:
    """A client's memory of some coordinates; all of it where it is not by coordinate."""
    own: dict[str, Any] = {}
    for key, value in memory.items():
        if key == RESIDUAL:
            if value.shape != (size,):
                raise ValueError(
                    f"the client's residual has {value.size} coordinates, the update {size}"
                )
            own[key] = value[begin:end]
        elif isinstance(value, dict):
            own[key] = _take(value, begin, end, size)
        else:
            own[key] = value
    return own


def _put(memory: dict[str, Any], part: Mapping[str, Any], begin: int, end: int, size: int) -> None:
    """The inverse of :func:`_take`."""
    for key, value in part.items():
        if key == RESIDUAL:
            memory.setdefault(key, np.zeros(size, dtype=np.float32))[begin:end] = value
        elif isinstance(value, dict):
            _put(memory.setdefault(key, {}), value, begin, end, size)
        else:
            memory[key] = value


def _whole_payloads(
    packets: Sequence[bytes | None], size: int
) -> Iterator[tuple[int, int, bool, bytes]]:
    """Begin, end and payload of every slice of which no packet is missing, and whether cropped."""
    parts: dict[tuple[int, int, int], dict[int, bytes]] = {}
    for packet in packets:
        if packet is None:
            continue
        begin, at = decode_varint(packet, 0)
        length, at = decode_varint(packet, at)
        count, at = decode_varint(packet, at)
        which = 0
        if count > 3:
            which, at = decode_varint(packet, at)
        if not (0 < length <= size - begin and which < count // 2):
            raise PayloadError(
                f"found a packet of coordinates {begin} to {begin + length}, part {which} of "
                f"{count // 2}; there are {size}"
            )
        parts.setdefault((begin, length, count), {})[which] = packet[at:]
    for (begin, length, count), pieces in parts.items():
        if len(pieces) == count // 2:
            payload = b"".join(pieces[at] for at in range(count // 2))
            yield begin, begin + length, bool(count % 2), payload
