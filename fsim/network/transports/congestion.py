"""Rate of TCP's congestion avoidance where packets get lost: two published formulas.

Both give goodput, payload bytes/s, of a connection with much to send on a link that is not itself
the limit, every packet being lost with the same probability by itself. Neither knows of CUBIC or
BBR (``docs/transports.md`` has measurements of all three).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", float, npt.NDArray[np.float64])

MINIMUM_TIMEOUT = 0.2
"""Seconds; Linux's TCP_RTO_MIN (include/net/tcp.h). RFC 6298 would have 1 s."""


def mathis(segment: float, loss: float, round_trip: Number) -> Number:
    """Goodput of Reno with fast retransmit only, bytes/s; ``inf`` without loss or round trip.

    segment x sqrt(3/2) / (round trip x sqrt(loss)), with an acknowledgement for every segment:
    M. Mathis, J. Semke, J. Mahdavi, T. Ott, "The Macroscopic Behavior of the TCP Congestion
    Avoidance Algorithm", 1997, eq. 3. It leaves out timeouts, and so is too high where loss exceeds
    a few per cent.

    Parameters
    ----------
    segment
        Payload bytes of a packet.
    loss
        Probability, in [0, 1).
    round_trip
        Seconds, one number or an array.
    """
    rate: Number = _rate(segment, round_trip * math.sqrt(loss / 1.5))
    return rate


def pftk(segment: float, loss: float, round_trip: Number) -> Number:
    """Goodput of Reno with its timeouts, bytes/s; ``inf`` without loss.

    segment / (R sqrt(2bp/3) + T0 min(1, 3 sqrt(3bp/8)) p (1 + 32 p^2)): J. Padhye, V. Firoiu,
    D. Towsley, J. Kurose, "Modeling TCP Throughput: A Simple Model and its Empirical Validation",
    1998, eq. 30, without a limit by the receiver. Here b = 1: the window of a
    sender that counts what is acknowledged (RFC 3465) is not slowed down by delayed
    acknowledgements. T0 = 4 R, as RFC 5348 section 3.1 simplifies it, but at least Linux's 0.2 s.

    Parameters are those of :func:`mathis`.
    """
    fast = round_trip * math.sqrt(2 * loss / 3)
    often = min(1.0, 3 * math.sqrt(3 * loss / 8)) * loss * (1 + 32 * loss**2)
    timeout: Any = np.maximum(4 * round_trip, MINIMUM_TIMEOUT)
    rate: Number = _rate(segment, fast + timeout * often)
    return rate


def _rate(segment: float, seconds: Any) -> Any:
    """One segment in so many seconds, as bytes/s."""
    with np.errstate(divide="ignore"):
        rate = np.divide(segment, seconds)
    return rate if rate.ndim else float(rate)


FORMULAS: dict[str, Callable[[float, float, Any], Any]] = {"mathis": mathis, "pftk": pftk}
"""Name in a scenario -> formula."""
