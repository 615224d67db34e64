"""G-NetTrack CSV, as of the 5G data set of University College Cork.

Raca et al., "Beyond Throughput, The Next Generation: a 5G Dataset with Channel and Context
Metrics", MMSys 2020. A ``Timestamp`` of 1 s resolution (``2019.12.16_13.40.04``) and bit rates in
kbit/s; each holds from its stamp to the next (left-aligned), the last for 1 s. Rows of one stamp
are averaged, or the last of them is taken.

``DL_bitrate`` is a saturating download. ``UL_bitrate`` is what returned meanwhile, mostly
acknowledgements, and NOT the capacity of an uplink: it is read only with ``return_traffic=true``.

``-`` is a reading that was not taken. Zero would invent an outage, holding the last rate would
invent a capacity, so ``missing`` is an error until one of them is asked for.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from fsim.core.errors import TraceError
from fsim.network.formats.base import Format
from fsim.network.formats.pieces import Pieces
from fsim.network.formats.text import decimal, read_text, short

_STAMP = re.compile(r"(\d{4})\.(\d\d)\.(\d\d)_(\d\d)\.(\d\d)\.(\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class GNetTrack(Format):
    """A column of bit rates by the second.

    Attributes
    ----------
    column
        Which one, in kbit/s.
    repeated
        Rows of one stamp: their ``mean``, or the ``last`` of them.
    missing
        A ``-``: ``error``, ``zero``, or ``hold`` the rate before it.
    return_traffic
        Read ``UL_bitrate``, though it is no capacity.
    """

    name: ClassVar[str] = "gnettrack"
    beginning: ClassVar[re.Pattern[bytes] | None] = re.compile(
        rb"(?:\xef\xbb\xbf)?Timestamp,[^\n]*\bDL_bitrate\b"
    )

    column: str = "DL_bitrate"
    repeated: Literal["mean", "last"] = "mean"
    missing: Literal["error", "zero", "hold"] = "error"
    return_traffic: bool = False

    def __post_init__(self) -> None:
        if self.column == "UL_bitrate" and not self.return_traffic:
            raise ValueError(
                "column: UL_bitrate is the return traffic of a download, not the capacity of an "
                "uplink; return_traffic=true reads it all the same"
            )

    @override
    def read(self, path: Path) -> Pieces:
        seconds: list[float] = []
        groups: list[list[float]] = []
        rate: float | None = None
        for number, stamp, text in self._cells(path):
            second = _seconds(path, number, stamp)
            rate = self._rate(path, number, text, rate)
            if seconds and second < seconds[-1]:
                raise TraceError(
                    f"{path}:{number}: found {stamp} after a later time, times must not decrease"
                )
            if seconds and second == seconds[-1]:
                groups[-1].append(rate)
            else:
                seconds.append(second)
                groups.append([rate])
        if not seconds:
            raise TraceError(f"{path}: found no rows below the header")
        rates = [
            group[-1] if self.repeated == "last" else float(np.mean(group)) for group in groups
        ]
        starts = np.array(seconds) - seconds[0]
        return starts, np.array(rates) * (1e3 / 8), float(starts[-1] + 1)

    def _cells(self, path: Path) -> list[tuple[int, str, str]]:
        reader = csv.reader(read_text(path).splitlines())
        try:
            header = next(reader, [])
            if "Timestamp" not in header or self.column not in header:
                raise TraceError(
                    f"{path}: found header {short(','.join(header))}, allowed is one with "
                    f"Timestamp and {self.column}"
                )
            at, column = header.index("Timestamp"), header.index(self.column)
            rows = []
            for row in reader:
                if not row:
                    continue
                if len(row) <= max(at, column):
                    raise TraceError(
                        f"{path}:{reader.line_num}: found {len(row)} columns, the header has "
                        f"{len(header)}"
                    )
                rows.append((reader.line_num, row[at], row[column]))
            return rows
        except csv.Error as error:
            raise TraceError(f"{path}:{reader.line_num}: not CSV: {error}") from None

    def _rate(self, path: Path, number: int, text: str, previous: float | None) -> float:
        """Kbit/s."""
        if text == "-":
            if self.missing == "zero":
                return 0.0
            if self.missing == "hold" and previous is not None:
                return previous
            nothing = " and nothing before it to hold" if self.missing == "hold" else ""
            raise TraceError(
                f"{path}:{number}: found no {self.column} ('-'){nothing}; missing=zero or "
                "missing=hold would say what it was"
            )
        try:
            rate = decimal(text)
        except ValueError:
            rate = math.nan
        if not 0 <= rate < math.inf:
            raise TraceError(
                f"{path}:{number}: found a {self.column} of {short(text)}, allowed is a number of "
                "kbit/s, 0 or more"
            )
        return rate


def _seconds(path: Path, number: int, stamp: str) -> float:
    match = _STAMP.fullmatch(stamp)
    try:
        if match is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, match.groups())
        return (datetime(year, month, day, hour, minute, second) - _EPOCH).total_seconds()
    except ValueError:
        raise TraceError(
            f"{path}:{number}: found a Timestamp of {short(stamp)}, allowed is a time as "
            "2019.12.16_13.40.04"
        ) from None
