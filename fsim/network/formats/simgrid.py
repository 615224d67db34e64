"""SimGrid's profiles of a link's bandwidth (``bandwidth_file`` of the platform format).

``time value`` a line, each value holding from its time on (left-aligned), in bytes/s; with
``factor_of`` the values are shares of that bandwidth. ``PERIODICITY p`` begins again every p
seconds; ``LOOPAFTER d`` begins again d seconds after the last line's time, as SimGrid 3.32 was
found to do. Without either the last value holds for ever, which ``last`` cuts to some seconds.
Lines that begin with ``#`` or ``%`` are comments.

A first time other than 0 is refused: what holds before it is the platform's bandwidth in the first
cycle and the last value in the others, so that no looped staircase says the same.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fsim.core.errors import TraceError
from fsim.core.units import parse_quantity
from fsim.network.formats.base import WritableFormat
from fsim.network.formats.pieces import Pieces
from fsim.network.formats.text import fields, numbered_lines, short

_LOOPS = ("PERIODICITY", "LOOPAFTER")


@dataclass(frozen=True)
class SimGrid(WritableFormat):
    """Times and bandwidths of a SimGrid link.

    Attributes
    ----------
    factor_of
        A rate as ``10 MB/s``, of which the values are shares; none for values in bytes/s.
    last
        Seconds for which the last value lasts in a profile that does not loop.
    """

    name: ClassVar[str] = "simgrid"
    beginning: ClassVar[re.Pattern[bytes] | None] = re.compile(
        rb"(?:\s*[#%][^\n]*\n)*(?:PERIODICITY|LOOPAFTER)\s"
    )

    factor_of: str | None = None
    last: float | None = None

    def __post_init__(self) -> None:
        if self.last is not None and not 0 < self.last < math.inf:
            raise ValueError(f"last: found {self.last:g}, allowed is more than 0 s")
        if self.factor_of is not None:
            try:
                parse_quantity(self.factor_of, "rate")
            except ValueError as error:
                raise ValueError(f"factor_of: {error}") from None

    @override
    def read(self, path: Path) -> Pieces:
        times: list[float] = []
        values: list[float] = []
        loop: tuple[str, float] | None = None
        for number, line in numbered_lines(path, "#%"):
            if line.startswith(_LOOPS):
                loop = _loop(path, number, line)
                continue
            time, value = fields(path, number, line, 2, "a time and a value, or PERIODICITY P")
            if value < 0 or (time != 0 if not times else time <= times[-1]):
                raise TraceError(
                    f"{path}:{number}: found {short(line)}, allowed are times that begin at 0 and "
                    "increase, and values of 0 or more"
                )
            times.append(time)
            values.append(value)
        if not times:
            raise TraceError(f"{path}: found no lines of a time and a value")
        unit = 1.0 if self.factor_of is None else parse_quantity(self.factor_of, "rate")
        return np.array(times), np.array(values) * unit, self._end(path, times[-1], loop)

    @override
    def write(self, pieces: Pieces, path: Path) -> None:
        starts, rates, duration = pieces
        unit = 1.0 if self.factor_of is None else parse_quantity(self.factor_of, "rate")
        if unit == 0:
            raise TraceError(f"{path}: found factor_of {self.factor_of!r}, allowed is above 0")
        rows = zip(starts.tolist(), (rates / unit).tolist(), strict=True)
        lines = [f"PERIODICITY {duration!r}", *(f"{time!r} {value!r}" for time, value in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _end(self, path: Path, latest: float, loop: tuple[str, float] | None) -> float:
        if loop is None:
            if self.last is None:
                raise TraceError(
                    f"{path}: found neither PERIODICITY nor LOOPAFTER; last=SECONDS says for how "
                    "long the last value holds"
                )
            return latest + self.last
        kind, seconds = loop
        end = seconds if kind == "PERIODICITY" else latest + seconds
        if not end > latest:
            raise TraceError(
                f"{path}: found {kind} {seconds:g} and a last time of {latest:g} s, allowed is a "
                "loop that begins after it"
            )
        return end


def _loop(path: Path, number: int, line: str) -> tuple[str, float]:
    kind, rest = (*line.split(maxsplit=1), "")[:2]
    if kind not in _LOOPS:
        raise TraceError(f"{path}:{number}: found {short(line)}, allowed is {' or '.join(_LOOPS)}")
    (seconds,) = fields(path, number, rest, 1, f"{kind} and a number of seconds")
    return kind, seconds
