"""Mahimahi packet-delivery traces (Netravali et al., "Mahimahi", USENIX ATC 2015; mm-link(1)).

One integer a line, milliseconds from the start, not decreasing; each line is one opportunity to
deliver 1500 bytes, a repeated stamp is several. The trace loops with its last stamp as period.

Opportunities are binned: those with stamps in (k bin, (k + 1) bin] are the bytes of that bin, so
that by the end of a bin exactly its opportunities have been delivered; a stamp of 0 counts in the
first bin. The last bin ends at the last stamp. A bin of 100 ms is about a round trip of a cellular
link: nothing that reads the capacity looks at less, a transfer's finish moves by at most a bin, and
a rate over 1 ms would be 0 or 12 Mbit/s and nothing between. The fluid link keeps what an
opportunity that nobody used would have lost; within a bin that difference is one packet.

Writing quantises: opportunity n stands at the first whole millisecond at which n x 1500 bytes have
been delivered. At every whole millisecond of a pass the bytes differ by at most one packet. The
period is the last stamp, so the duration is rounded up to whole milliseconds, and where the last
opportunity would come before the end, one more is added at it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.core.errors import TraceError
from fsim.network.formats.base import WritableFormat
from fsim.network.formats.pieces import Floats, Pieces, edges_and_bytes
from fsim.network.formats.text import read_bytes, short

PACKET = 1500
"""Bytes of an opportunity."""

MOST_OPPORTUNITIES = 5_000_000
"""In a written file: what fits into one that can be read again."""

LAST_STAMP = 10**15 - 1
"""Milliseconds; a longer line is taken for garbage."""

_LINE = rb"[0-9]{1,15}"
_FILE = re.compile(rb"(?:%b\r?\n)*+(?:%b)?" % (_LINE, _LINE))
_GOOD_LINE = re.compile(_LINE)


@dataclass(frozen=True)
class Mahimahi(WritableFormat):
    """Opportunities to deliver 1500 bytes, by the millisecond.

    Attributes
    ----------
    bin
        Milliseconds over which opportunities are averaged to a rate when reading, 1 or more.
    """

    name: ClassVar[str] = "mahimahi"
    suffixes: ClassVar[tuple[str, ...]] = (".up", ".down", ".mahi")

    bin: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.bin <= 3_600_000:
            raise ValueError(f"bin: found {self.bin}, allowed are 1 to 3600000 ms")

    @override
    def read(self, path: Path) -> Pieces:
        stamps = _stamps(path)
        last = int(stamps[-1])
        if last == 0:
            raise TraceError(f"{path}: found a last stamp of 0 ms, which would be the period")
        # Only bins that hold something, and the gaps between them: a long silence costs nothing.
        bins, counts = np.unique(np.maximum(-(-stamps // self.bin) - 1, 0), return_counts=True)
        ends = np.minimum((bins + 1) * self.bin, last)
        rates = counts * PACKET / ((ends - bins * self.bin) / 1000)
        before = np.append(0, ends[:-1])
        silent = bins * self.bin > before
        starts = np.stack([before, bins * self.bin], axis=1)
        both = np.stack([np.zeros(len(bins)), rates], axis=1)
        mask = np.stack([silent, np.ones(len(bins), dtype=bool)], axis=1)
        return starts[mask] / 1000, both[mask], last / 1000

    @override
    def write(self, pieces: Pieces, path: Path) -> None:
        edges, delivered = edges_and_bytes(pieces)
        total = float(delivered[-1])
        if total / PACKET > MOST_OPPORTUNITIES:
            raise TraceError(
                f"{path}: found {total:.3g} bytes in the trace, allowed in mahimahi's format are "
                f"{MOST_OPPORTUNITIES} packets of {PACKET}"
            )
        period = max(math.ceil(edges[-1] * 1000 - 1e-6), 1)
        if period > LAST_STAMP:
            raise TraceError(f"{path}: found a duration of {edges[-1]:g} s, too long for mahimahi")
        if total == 0:
            raise TraceError(f"{path}: mahimahi's format cannot hold a trace that is zero")
        # What rounding takes from an amount or adds to a time must not cost a packet or a
        # millisecond: a thousandth of a byte and a nanosecond are forgiven.
        count = int((total + 1e-3) / PACKET)
        thresholds = np.arange(1, count + 1, dtype=np.float64) * PACKET - 1e-3
        moments = 1000 * _moments(thresholds, edges, delivered)
        stamps = np.maximum(np.ceil(moments - 1e-6), 1).astype(np.int64)
        stamps = np.minimum(stamps, period)
        if count == 0 or stamps[-1] < period:
            stamps = np.append(stamps, period)
        path.write_text("\n".join(map(str, stamps.tolist())) + "\n", encoding="utf-8")


def _moments(
    thresholds: Floats,
    edges: Floats,
    delivered: Floats,
) -> Floats:
    """Seconds at which so many bytes have been delivered, the earliest such."""
    at = np.clip(np.searchsorted(delivered, thresholds, side="left"), 1, len(edges) - 1)
    share = (thresholds - delivered[at - 1]) / (delivered[at] - delivered[at - 1])
    return edges[at - 1] + np.minimum(share, 1) * (edges[at] - edges[at - 1])


def _stamps(path: Path) -> npt.NDArray[np.int64]:
    content = read_bytes(path)
    if not content:
        raise TraceError(f"{path}: found an empty file, allowed is a line for each opportunity")
    if _FILE.fullmatch(content) is None:
        raise _bad_line(path, content)
    stamps = np.array(content.split()).astype(np.int64)
    back = np.flatnonzero(np.diff(stamps) < 0)
    if len(back):
        at = int(back[0])
        raise TraceError(
            f"{path}:{at + 2}: found {stamps[at + 1]} ms after {stamps[at]} ms, "
            "stamps must not decrease"
        )
    return stamps


def _bad_line(path: Path, content: bytes) -> TraceError:
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        if _GOOD_LINE.fullmatch(line.removesuffix(b"\r")) is None:
            text = short(line[:61].decode("utf-8", errors="replace"))
            return TraceError(
                f"{path}:{number}: found {text}, allowed is a whole number of milliseconds"
            )
    return TraceError(f"{path}: not a mahimahi trace")
