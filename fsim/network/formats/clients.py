"""Files that describe many clients: their rates, and when they are available."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fsim.core.errors import TraceError
from fsim.network.formats.pieces import Floats, Pieces
from fsim.network.formats.text import short

Invalid = Literal["error", "drop"]


@dataclass(frozen=True, slots=True)
class ClientRates:
    """Rates of one client, as a file has them.

    Attributes
    ----------
    up, down
        Bytes/s, the mean where the file gives a distribution.
    up_sigma, down_sigma
        Standard deviations, bytes/s; 0 where the file gives none.
    seconds_per_sample
        Of computation, None where the file does not tell.
    """

    up: float
    down: float
    up_sigma: float = 0.0
    down_sigma: float = 0.0
    seconds_per_sample: float | None = None


@dataclass(frozen=True, slots=True)
class Intervals:
    """Periods in which a client is available.

    Attributes
    ----------
    starts, ends
        Seconds, shape (n,): available on [starts[i], ends[i]); increasing, none overlapping.
    period
        Seconds after which all begins again; not before the last end.
    """

    starts: Floats
    ends: Floats
    period: float

    def __post_init__(self) -> None:
        if self.starts.ndim != 1 or self.starts.shape != self.ends.shape:
            raise ValueError(
                f"found {len(self.starts)} times of becoming available and {len(self.ends)} of "
                "becoming unavailable"
            )
        if not 0 < self.period < np.inf:
            raise ValueError(f"found a period of {self.period:g} s, allowed is more than 0")
        bounds = np.stack([self.starts, self.ends], axis=1).ravel()
        bounds = np.concatenate([[0.0], bounds, [self.period]])
        if not np.all(np.isfinite(bounds)) or np.any(np.diff(bounds) < 0):
            raise ValueError(
                "found intervals that overlap or lie outside the period, allowed are times that "
                "increase"
            )
        if np.any(self.starts == self.ends):
            raise ValueError("found an interval that ends where it begins")

    @property
    def share(self) -> float:
        """The share of the period for which the client is available, 0 to 1."""
        return float((self.ends - self.starts).sum() / self.period)


def by_client(path: Path, content: Any) -> Mapping[str, Any]:
    """The file's mapping, its keys as texts.

    Raises
    ------
    TraceError
        It is no mapping, is empty, or two of its keys are one text.
    """
    if not isinstance(content, dict) or not content:
        empty = "an empty mapping" if content == {} else short(content)
        raise TraceError(f"{path}: found {empty}, allowed is a mapping from client to values")
    if not all(isinstance(key, str | int) and len(short(key)) <= 60 for key in content):
        raise TraceError(f"{path}: found a client that is neither a text nor a number")
    try:
        named = {str(key): value for key, value in content.items()}
    except ValueError:
        raise TraceError(f"{path}: found a client with too large a number") from None
    if len(named) != len(content):
        raise TraceError(f"{path}: found two clients of one name")
    return named


def one_client(path: Path, clients: Mapping[str, Any], client: str | int | None) -> str:
    """The name of the client that is meant.

    Raises
    ------
    TraceError
        None was named and there are several, or there is none of that name.
    """
    some = ", ".join(short(name) for name in list(clients)[:3])
    if client is None:
        if len(clients) == 1:
            return next(iter(clients))
        raise TraceError(
            f"{path}: found {len(clients)} clients; client= says which, for example {some}"
        )
    if str(client) not in clients:
        raise TraceError(f"{path}: found no client {short(str(client))}, allowed are {some}, ...")
    return str(client)


def constant(rate: float) -> Pieces:
    """A rate that does not change, as a staircase of one second, to be looped or held."""
    return np.zeros(1), np.array([rate]), 1.0


def intervals_of_clients(
    path: Path,
    clients: Mapping[str, Any],
    intervals: Callable[[str, Any], Intervals],
    invalid: Invalid,
) -> dict[str, Intervals]:
    """Each client's intervals; clients without usable ones are an error, or are dropped.

    Raises
    ------
    TraceError
        Naming the file and the client; or all were dropped.
    """
    availability: dict[str, Intervals] = {}
    for name, value in clients.items():
        where = f"{path}: client {name}"
        try:
            availability[name] = intervals(where, value)
        except TraceError:
            if invalid == "error":
                raise
        except ValueError as error:
            if invalid == "error":
                raise TraceError(f"{where}: {error}; invalid=drop leaves it out") from None
    if not availability:
        raise TraceError(f"{path}: found no client with usable availability")
    return availability
