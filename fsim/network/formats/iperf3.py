"""JSON of iperf3 (``iperf3 --json``; iperf3(1)).

Each interval's ``sum.bits_per_second`` is the rate from its ``start`` to its ``end``. A file tells
what its own side counted; a second side is in it after ``--bidir`` or ``--get-server-output``.
What a sender counts it has handed to its socket, which buffers; what a receiver counts has arrived.
Intervals that iperf3 marks as omitted (``--omit``) are left out, as it leaves them out of its own
totals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from typing_extensions import override

from fsim.core.errors import TraceError
from fsim.network.formats.base import Format
from fsim.network.formats.pieces import Pieces
from fsim.network.formats.text import positive_or_zero, read_json, short

TOLERANCE = 0.01
"""Seconds by which the end of an interval may miss the start of the next."""


@dataclass(frozen=True)
class Iperf3(Format):
    """Rates by the interval, as measured by a sender or a receiver.

    Attributes
    ----------
    side
        Whose count; by default the only one in the file.
    """

    name: ClassVar[str] = "iperf3"
    beginning: ClassVar[re.Pattern[bytes] | None] = re.compile(rb'\s*\{\s*"start"\s*:')

    side: Literal["sender", "receiver"] | None = None

    @override
    def read(self, path: Path) -> Pieces:
        result = read_json(path)
        if not isinstance(result, dict):
            raise TraceError(f"{path}: found {short(result)}, allowed is an iperf3 result")
        if "error" in result:
            raise TraceError(f"{path}: iperf3 failed: {short(result['error'])}")
        sides: dict[str, list[tuple[float, float, float]]] = {}
        for whose, where, entry in _sums(path, result):
            sides.setdefault(whose, []).append(_interval(where, entry))
        only: str | None = next(iter(sides)) if len(sides) == 1 else None
        side = self.side or only
        if side is None or side not in sides:
            request = f"side={self.side} asked for, " if self.side else ""
            raise TraceError(
                f"{path}: {request}found intervals of {' and '.join(sides) or 'nobody'}"
                + ("; side= says which" if sides and not self.side else "")
            )
        return _joined(path, sides[side])


def _sums(path: Path, result: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The sums of all intervals that count: whose, where in the file, and the sum."""
    sends = not _get(_get(result, "start"), "test_start").get("reverse")
    server = _get(result, "server_output_json")
    for prefix, part, own in (("", result, sends), ("server_output_json.", server, not sends)):
        intervals = part.get("intervals", [])
        if not isinstance(intervals, list):
            raise TraceError(f"{path}: {prefix}intervals: found {short(intervals)}, not a list")
        for at, interval in enumerate(intervals):
            for key, default in (("sum", own), ("sum_bidir_reverse", not own)):
                entry = _get(interval, key)
                if entry and not entry.get("omitted"):
                    side = "sender" if entry.get("sender", default) else "receiver"
                    yield side, f"{path}: {prefix}intervals[{at}].{key}", entry


def _get(value: Any, key: str) -> dict[str, Any]:
    entry = value.get(key) if isinstance(value, dict) else None
    return entry if isinstance(entry, dict) else {}


def _interval(where: str, entry: dict[str, Any]) -> tuple[float, float, float]:
    start, end, rate = (
        positive_or_zero(f"{where}.{key}", entry.get(key))
        for key in ("start", "end", "bits_per_second")
    )
    if end <= start:
        raise TraceError(f"{where}: found an interval from {start:g} to {end:g} s")
    return start, end, rate / 8


def _joined(path: Path, intervals: list[tuple[float, float, float]]) -> Pieces:
    for (_, end, _), (start, _, _) in pairwise(intervals):
        if abs(start - end) > TOLERANCE:
            raise TraceError(
                f"{path}: found an interval that ends at {end:g} s and one that begins at "
                f"{start:g} s, allowed is one after the other"
            )
    begin = intervals[0][0]
    starts = np.array([start for start, _, _ in intervals]) - begin
    return starts, np.array([rate for _, _, rate in intervals]), intervals[-1][1] - begin
