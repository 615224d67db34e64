"""Logs of bytes received on the move: HSDPA (Riiser) and 4G (Ghent).

Riiser et al., "Commute path bandwidth traces from 3G networks", MMSys 2013; van der Hooft et al.,
"HTTP/2-Based Adaptive Streaming of HEVC Video Over 4G/LTE Networks", IEEE Communications Letters
2016. Six columns: Unix time (seconds in the former, milliseconds in the latter), milliseconds since
the log began, latitude, longitude, bytes since the line before, milliseconds since the line before.

A line's rate is bytes over milliseconds, and holds for those milliseconds *before* its stamp
(right-aligned). The Unix time is not needed, so both kinds are read alike. Where the second column
moves on by more than the sixth tells (by over 1 s), something was not logged: ``gap`` says whether
that is an error, an outage (``zero``), or left out (``close``). What these logs record is downlink
traffic of a saturating download.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from fsim.core.errors import TraceError
from fsim.network.formats.base import Format
from fsim.network.formats.pieces import Pieces
from fsim.network.formats.text import fields, numbered_lines, short

TOLERANCE = 1000.0
"""Milliseconds by which the clock and the intervals may disagree before it is a gap."""


@dataclass(frozen=True)
class Hsdpa(Format):
    """Bytes and milliseconds since the line before, with a position.

    Attributes
    ----------
    gap
        What time that no line accounts for is: ``error``, ``zero``, or ``close``.
    """

    name: ClassVar[str] = "hsdpa"

    gap: Literal["error", "zero", "close"] = "error"

    @override
    def read(self, path: Path) -> Pieces:
        lengths: list[float] = []
        rates: list[float] = []
        clock = None
        for number, line in numbered_lines(path):
            values = fields(path, number, line, 6, "unix_time ms lat lon bytes ms_since_last")
            elapsed, size, interval = values[1], values[4], values[5]
            if size < 0 or interval <= 0:
                raise TraceError(
                    f"{path}:{number}: found {short(line)}, allowed are bytes of 0 or more in "
                    "more than 0 ms"
                )
            missing = 0.0 if clock is None else elapsed - clock - interval
            if missing < -TOLERANCE:
                raise TraceError(
                    f"{path}:{number}: found {elapsed:g} ms after {clock:g} ms, which is less "
                    f"than the line's {interval:g} ms"
                )
            if missing > TOLERANCE:
                self._check_gap(path, number, missing)
                if self.gap == "zero":
                    lengths.append(missing)
                    rates.append(0.0)
            lengths.append(interval)
            rates.append(size / (interval / 1000))
            clock = elapsed
        if not lengths:
            raise TraceError(f"{path}: found no lines, allowed is a log of six columns")
        ends = np.cumsum(lengths) / 1000
        return np.append(0.0, ends[:-1]), np.array(rates), float(ends[-1])

    def _check_gap(self, path: Path, number: int, missing: float) -> None:
        if self.gap == "error":
            raise TraceError(
                f"{path}:{number}: found {missing:g} ms that no line accounts for; gap=zero or "
                "gap=close would say what they were"
            )
