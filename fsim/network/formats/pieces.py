"""The staircase that every reader returns, and what is done to it whatever the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fsim.core.errors import TraceError
from fsim.network.links.capacity import Capacity

Floats = npt.NDArray[np.float64]

Pieces = tuple[Floats, Floats, float]
"""Start times (s, from 0), rates (bytes/s, each holding until the next start), duration (s)."""


def checked(path: Path, pieces: Pieces) -> Pieces:
    """The pieces, neighbours of equal rate made one, once they are known to be a staircase.

    Raises
    ------
    TraceError
        They are not what :class:`Capacity` allows, or carry more bytes than a number can hold.
    """
    starts, rates, duration = pieces
    with np.errstate(all="ignore"):
        total = np.dot(np.diff(np.append(starts, duration)), rates)
    if np.all(np.isfinite(rates)) and not np.isfinite(total):
        raise TraceError(f"{path}: found times and rates too large to add up")
    try:
        Capacity(starts, rates, duration)
    except TraceError as error:
        raise TraceError(f"{path}: {error}") from None
    return merged(pieces)


def merged(pieces: Pieces) -> Pieces:
    """The same staircase with as few pieces as can be: equal neighbours become one."""
    starts, rates, duration = pieces
    changes = np.append(True, rates[1:] != rates[:-1])
    return starts[changes], rates[changes], duration


def with_last_halved(pieces: Pieces) -> tuple[Floats, Floats]:
    """Starts and rates whose last two pieces are of one length and rate.

    For formats without an end, in which a last row is read as holding for as long as the row
    before it: so the reader finds the duration that was meant.
    """
    starts, rates, duration = pieces
    last = float(starts[-1])
    middle = last + (duration - last) / 2
    around = (middle, np.nextafter(middle, duration), np.nextafter(middle, last))
    # Of neighbouring floating-point numbers, one often gives the duration to the last bit.
    middle = min((float(m) for m in around), key=lambda m: abs(m + (m - last) - duration))
    return np.append(starts, middle), np.append(rates, rates[-1])


def edges_and_bytes(pieces: Pieces) -> tuple[Floats, Floats]:
    """Seconds at which pieces begin or end, shape (n + 1,), and bytes delivered until then."""
    starts, rates, duration = pieces
    edges = np.append(starts, duration)
    return edges, np.append(0.0, np.cumsum(np.diff(edges) * rates))
