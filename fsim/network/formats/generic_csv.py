"""Generic CSV: a header ``time_s,<rate column>``, and a row whenever the rate changes.

The rate column names its unit: ``rate_bit_s``, ``rate_kbit_s``, ``rate_mbit_s`` or
``rate_byte_s``. Each rate holds from its time to the next row's (left-aligned); the last holds for
as long as the row before it did. Times are counted from the first row's. Lines that begin with
``#`` are comments.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fsim.errors import TraceError

BYTES_PER_UNIT = {
    "rate_bit_s": 1 / 8,
    "rate_kbit_s": 1e3 / 8,
    "rate_mbit_s": 1e6 / 8,
    "rate_byte_s": 1.0,
}


def read(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Read the pieces of a trace; see :mod:`fsim.network.formats` for what is returned."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: not a text file ({error.reason})") from None
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line and line[0] != "#"]
    header = next(csv.reader([numbered[0][1]]), []) if numbered else []
    if len(header) != 2 or header[0] != "time_s" or header[1] not in BYTES_PER_UNIT:
        raise TraceError(
            f"{path}: found header {','.join(header)!r}, allowed is time_s,RATE with RATE one of "
            f"{', '.join(BYTES_PER_UNIT)}"
        )
    times: list[float] = []
    rates: list[float] = []
    for number, line in numbered[1:]:
        try:
            moment, rate = (float(field) for field in line.split(","))
        except ValueError:
            raise TraceError(f"{path}:{number}: found {line!r}, allowed are two numbers") from None
        if not (math.isfinite(moment) and math.isfinite(rate)) or rate < 0:
            raise TraceError(
                f"{path}:{number}: found {line!r}, allowed are a time and a rate of 0 or more"
            )
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
