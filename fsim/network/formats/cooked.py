"""Cooked traces: ``seconds rate`` a line, in white-space-separated columns.

The format of Pensieve (Mao, Netravali and Alizadeh, "Neural Adaptive Video Streaming with
Pensieve", SIGCOMM 2017) and its followers, who read it in two ways. Pensieve's simulator holds the
rate of row i on (t[i-1], t[i]] and never uses row 0: ``alignment=right``. Most other readers hold
it on [t[i], t[i+1]), the last row for as long as the one before it: ``alignment=left``, the
default. Files name no unit: Mbit/s unless ``unit`` says otherwise.

Left-aligned, times are counted from the first row's. Right-aligned, row 0 holds on (0, t[0]]; where
t[0] is 0 that is nothing, and ``skip_first`` drops it in any case, times then counted from it, as
Pensieve does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from fsim.core.errors import TraceError
from fsim.core.units import UNITS
from fsim.network.formats.base import WritableFormat
from fsim.network.formats.pieces import Floats, Pieces, with_last_halved
from fsim.network.formats.text import fields, numbered_lines, short


@dataclass(frozen=True)
class Cooked(WritableFormat):
    """Two columns, seconds and a rate.

    Attributes
    ----------
    alignment
        Whether a rate holds after its time (``left``) or before it (``right``).
    unit
        Of the rates, as in ``20 Mbit/s``.
    skip_first
        Never use the first row's rate; Pensieve does not.
    stamps
        What is done with a time that is not later than the one before: ``error``, or ``drop`` the
        row.
    """

    name: ClassVar[str] = "cooked"

    alignment: Literal["left", "right"] = "left"
    unit: str = "Mbit/s"
    skip_first: bool = False
    stamps: Literal["error", "drop"] = "error"

    def __post_init__(self) -> None:
        if self.unit not in UNITS["rate"]:
            raise ValueError(f"unit: found {self.unit!r}, allowed are {', '.join(UNITS['rate'])}")

    @override
    def read(self, path: Path) -> Pieces:
        times, rates = self._rows(path)
        if self.alignment == "left":
            first = int(self.skip_first)
            times, rates = times[first:] - times[first : first + 1].sum(), rates[first:]
            if len(times) < 2:
                raise TraceError(f"{path}: found {len(times)} samples, a trace needs at least 2")
            return times, rates, float(2 * times[-1] - times[-2])
        if self.skip_first or times[0] == 0:
            times, rates = times - times[0], rates[1:]
        else:
            times = np.append(0.0, times)
        if len(rates) == 0:
            raise TraceError(f"{path}: found 1 sample, a right-aligned trace needs another")
        return times[:-1], rates, float(times[-1])

    @override
    def write(self, pieces: Pieces, path: Path) -> None:
        starts, rates, duration = pieces
        if self.alignment == "left":
            times, rates = with_last_halved(pieces)
        else:
            times, rates = np.append(starts, duration), np.append(rates[0], rates)
        values = (rates / UNITS["rate"][self.unit]).tolist()
        rows = zip(times.tolist(), values, strict=True)
        path.write_text("".join(f"{time!r}\t{value!r}\n" for time, value in rows), encoding="utf-8")

    def _rows(self, path: Path) -> tuple[Floats, Floats]:
        times: list[float] = []
        rates: list[float] = []
        for number, line in numbered_lines(path):
            time, rate = fields(path, number, line, 2, "two numbers, seconds and a rate")
            if time < 0 or rate < 0:
                raise TraceError(
                    f"{path}:{number}: found {short(line)}, allowed are numbers of 0 or more"
                )
            if times and time <= times[-1]:
                if self.stamps == "drop":
                    continue
                raise TraceError(
                    f"{path}:{number}: found {time:g} s after {times[-1]:g} s, times must "
                    "increase; stamps=drop leaves such rows out"
                )
            times.append(time)
            rates.append(rate)
        if not times:
            raise TraceError(f"{path}: found no samples, allowed are lines of seconds and a rate")
        return np.array(times), np.array(rates) * UNITS["rate"][self.unit]
