"""Payloads for a way on which packets get lost: a fragment a matrix, found again after every gap.

An update is encoded matrix by matrix, each by the policy itself, so that what a lost packet takes
away is the matrices that it held a part of. Policies need no code for it, but each is given one
matrix as if it were all of the update: what it does across matrices elsewhere (the largest
coordinates of all, one table of codes) it does within each. The fragments follow one another in
packets of a fixed size. As in an MPEG transport stream, every packet begins with a
pointer: where in it the first fragment begins, so that after a gap the reader finds its place.

A packet is 2 bytes (little-endian: the offset, counted from behind them, of the first fragment that
begins in it; 65535 if none does) and what lies in the fragments' stream at its place. A fragment is
2 bytes (its matrix, by the order of the layout), 4 bytes (its length) and the policy's payload.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence

import numpy as np

from fsim.compression.policy import EncodingContext, Policy
from fsim.core.errors import PayloadError
from fsim.core.types import Layout, Update

_POINTER = struct.Struct("<H")
_FRAGMENT = struct.Struct("<HI")
_NONE = 0xFFFF


def encode_fragments(
    policy: Policy, update: Update, context: EncodingContext, packet: int
) -> list[bytes]:
    """An update as packets of ``packet`` bytes, the last one as long as is left.

    A matrix that the policy does not train in this round has no fragment: it stays as it is. Error
    feedback, where a policy has it, is kept matrix by matrix; a budget is shared out by the
    matrices' sizes.

    Raises
    ------
    ValueError
        As the policy's ``encode``; or a packet too small for a pointer and a byte.
    """
    trained_names = {name for name in update if policy.trains(name, context.round_number)}
    total = sum(update[name].size for name in trained_names)
    stream, begins = bytearray(), []
    for number, name in enumerate(sorted(update)):
        if name not in trained_names:
            continue
        share = update[name].size / total
        part = dataclasses.replace(
            context,
            fisher=None if context.fisher is None else {name: context.fisher[name]},
            memory=context.memory.setdefault(f"matrix {name}", {}),
            budget=None if context.budget is None else int(context.budget * share),
        )
        payload = policy.encode({name: update[name]}, part)
        begins.append(len(stream))
        stream += _FRAGMENT.pack(number, len(payload)) + payload
    return _packets(bytes(stream), begins, packet - _POINTER.size)


def _packets(stream: bytes, begins: list[int], room: int) -> list[bytes]:
    if not 0 < room < _NONE:
        raise ValueError(f"found packets of {room + _POINTER.size} bytes, allowed are 3 to 65536")
    packets = []
    for begin in range(0, len(stream), room):
        first = next((at - begin for at in begins if begin <= at < begin + room), _NONE)
        packets.append(_POINTER.pack(first) + stream[begin : begin + room])
    return packets


def decode_fragments(policy: Policy, packets: Sequence[bytes | None], layout: Layout) -> Update:
    """The update, zero where a matrix's fragment did not arrive whole.

    Parameters
    ----------
    policy, layout
        That the packets were encoded by and for.
    packets
        In the order of sending, None for one that is lost.

    Raises
    ------
    PayloadError
        What arrived was not made by :func:`encode_fragments`.
    """
    shapes = {spec.name: spec.shape for spec in layout.tensors}
    names = sorted(shapes)
    update = {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}
    for number, payload in _whole_fragments(packets):
        if number >= len(names):
            raise PayloadError(f"found a fragment of matrix {number}, the layout has {len(names)}")
        name = names[number]
        update |= policy.decode(payload, Layout.of({name: update[name]}))
    return update


def _whole_fragments(packets: Sequence[bytes | None]) -> list[tuple[int, bytes]]:
    """Whole fragments: those of which no packet is missing."""
    fragments, run = [], b""
    in_step = False  # whether the run begins where a fragment begins
    for packet in packets:
        if packet is None:
            run, in_step = b"", False
            continue
        if len(packet) < _POINTER.size:
            raise PayloadError(f"found a packet of {len(packet)} bytes, which holds no pointer")
        (first,) = _POINTER.unpack_from(packet)
        content = packet[_POINTER.size :]
        if in_step:
            run += content
        elif first != _NONE:
            if first > len(content):
                raise PayloadError("found a packet whose pointer points beyond it")
            run, in_step = content[first:], True
        while len(run) >= _FRAGMENT.size:
            number, length = _FRAGMENT.unpack_from(run)
            end = _FRAGMENT.size + length
            if len(run) < end:
                break
            fragments.append((number, run[_FRAGMENT.size : end]))
            run = run[end:]
    return fragments
