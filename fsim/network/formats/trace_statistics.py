"""Statistics of a capacity trace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsim.core.errors import TraceError
from fsim.network.formats.pieces import Floats, Pieces, edges_and_bytes, merged

MBIT = 1e6 / 8
"""Bytes/s of 1 Mbit/s."""

OUTAGE = 1.0
"""Seconds at zero that are told as an outage, if longer."""

MOST_BINS = 10_000_000
"""Of a series that is put together."""


@dataclass(frozen=True)
class TraceStatistics:
    """Figures of one pass of a trace.

    Attributes
    ----------
    duration_s
        Seconds.
    mean_mbit_s, p5_mbit_s, p50_mbit_s, p95_mbit_s
        Mbit/s: over the whole pass, and percentiles over its whole seconds (over the one bin that
        there is, if it is shorter).
    outages, longest_outage_s
        Stretches at zero longer than 1 s, and the longest stretch at zero, however short. One that
        the end of a pass cuts is two.
    zero_share
        Share of the time at zero, 0 to 1.
    """

    pieces: int
    duration_s: float
    mean_mbit_s: float
    p5_mbit_s: float
    p50_mbit_s: float
    p95_mbit_s: float
    outages: int
    longest_outage_s: float
    zero_share: float


def statistics(pieces: Pieces) -> TraceStatistics:
    """The figures of a trace.

    Raises
    ------
    TraceError
        It lasts for ever, or for more seconds than are kept at a time.
    """
    starts, rates, duration = merged(pieces)
    edges, delivered = edges_and_bytes((starts, rates, duration))
    seconds = binned((starts, rates, duration), 1.0) / MBIT
    p5, p50, p95 = (float(p) for p in np.percentile(seconds, [5, 50, 95]))
    silent = np.diff(edges)[rates == 0]
    return TraceStatistics(
        pieces=len(starts),
        duration_s=duration,
        mean_mbit_s=float(delivered[-1] / duration / MBIT),
        p5_mbit_s=p5,
        p50_mbit_s=p50,
        p95_mbit_s=p95,
        outages=int((silent > OUTAGE).sum()),
        longest_outage_s=float(silent.max(initial=0.0)),
        zero_share=float(silent.sum() / duration),
    )


def binned(pieces: Pieces, width: float) -> Floats:
    """Mean rates (bytes/s) over consecutive bins of ``width`` seconds, only whole ones.

    Raises
    ------
    TraceError
        There would be more than :data:`MOST_BINS`.
    """
    edges, delivered = edges_and_bytes(pieces)
    duration = float(edges[-1])
    # The tolerance keeps the last bin of a trace whose duration rounding has shortened a little.
    if not duration / width < MOST_BINS:
        raise TraceError(
            f"found a trace of {duration:g} s, allowed are {MOST_BINS} bins of {width:g} s"
        )
    count = int(duration / width + 1e-9)
    if count == 0:
        return np.array([delivered[-1] / duration])
    grid = np.minimum(np.arange(count + 1) * width, duration)
    rates: Floats = np.diff(np.interp(grid, edges, delivered)) / width
    return rates
