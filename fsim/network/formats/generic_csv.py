"""Generic CSV: a header ``time_s,<rate column>``, and a row whenever the rate changes.

The rate column names its unit: ``rate_bit_s``, ``rate_kbit_s``, ``rate_mbit_s`` or
``rate_byte_s``. Each rate holds from its time to the next row's (left-aligned); the last holds for
as long as the row before did. Times are counted from the first row's. Lines that begin with
``#`` are comments. Written files are in bytes/s, the last piece as two rows of half its length, so
that reading gives the duration back.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fsim.core.errors import TraceError
from fsim.network.formats.base import WritableFormat
from fsim.network.formats.pieces import Pieces, with_last_halved
from fsim.network.formats.text import decimal, numbered_lines

BYTES_PER_UNIT = {
    "rate_bit_s": 1 / 8,
    "rate_kbit_s": 1e3 / 8,
    "rate_mbit_s": 1e6 / 8,
    "rate_byte_s": 1.0,
}


@dataclass(frozen=True)
class GenericCsv(WritableFormat):
    """fsim's own CSV, its unit named in its header."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)

    @override
    def read(self, path: Path) -> Pieces:
        numbered = list(numbered_lines(path))
        header = _header(numbered[0][1]) if numbered else []
        if len(header) != 2 or header[0] != "time_s" or header[1] not in BYTES_PER_UNIT:
            raise TraceError(
                f"{path}: found header {','.join(header)[:60]!r}, allowed is time_s,RATE with "
                f"RATE one of {', '.join(BYTES_PER_UNIT)}"
            )
        times: list[float] = []
        rates: list[float] = []
        for number, line in numbered[1:]:
            moment, rate = _row(path, number, line)
            if times and moment <= times[-1]:
                raise TraceError(
                    f"{path}:{number}: found time {moment:g} s after {times[-1]:g} s, "
                    "times must increase"
                )
            times.append(moment)
            rates.append(rate)
        if len(times) < 2:
            raise TraceError(f"{path}: found {len(times)} samples, a trace needs at least 2")
        starts = np.array(times) - times[0]
        duration = float(starts[-1] + (starts[-1] - starts[-2]))
        return starts, np.array(rates) * BYTES_PER_UNIT[header[1]], duration

    @override
    def write(self, pieces: Pieces, path: Path) -> None:
        rows = zip(*(column.tolist() for column in with_last_halved(pieces)), strict=True)
        lines = ["time_s,rate_byte_s", *(f"{start!r},{rate!r}" for start, rate in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _header(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return [line]


def _row(path: Path, number: int, line: str) -> tuple[float, float]:
    try:
        moment, rate = (decimal(field) for field in line.split(","))
    except ValueError:
        raise TraceError(f"{path}:{number}: found {line[:60]!r}, allowed are two numbers") from None
    if not (math.isfinite(moment) and math.isfinite(rate)) or rate < 0:
        raise TraceError(
            f"{path}:{number}: found {line[:60]!r}, allowed are a time and a rate of 0 or more"
        )
    return moment, rate
