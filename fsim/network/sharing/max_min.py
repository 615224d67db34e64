"""Weighted max-min fair rates over several shared links, by progressive filling.

Think of every flow as a glass filled at a speed that is its weight, all at once. A glass stops when
it is full (the flow's own cap), and all glasses along a link stop when the link is used up. The
rates then are max-min fair: none can be raised without lowering one that is no higher for its
weight (Bertsekas and Gallager, Data Networks, 2nd edition, 1992, section 6.5.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fsim.network.links.capacity import Capacity
from fsim.network.links.cursor import Cursor
from fsim.network.sharing.base import Sharing, Upload

Floats = npt.NDArray[np.float64]

TIE = 1e-12
"""Levels of links closer than this, relative, are reached at once."""


def max_min_rates(
    caps: Floats, weights: Floats, paths: npt.NDArray[np.int64], capacities: Floats
) -> Floats:
    """Rates by progressive filling.

    The level of a link is what its flows not yet settled would get for each unit of weight if they
    shared what is left of it. It can only rise while others are settled. So a flow whose cap is
    below the levels of all links on its path gets its cap; and where no flow on a link has a lower
    level elsewhere, all of them get the level of that link. One of the two is always the case.

    Parameters
    ----------
    caps
        Bytes/s that each flow may have at most, shape (flows,), ``inf`` for no limit.
    weights
        Shape (flows,), above 0.
    paths
        Links that each flow crosses, shape (flows, longest path), padded with -1.
    capacities
        Bytes/s of each link, shape (links,).

    Returns
    -------
    numpy.ndarray
        Bytes/s of each flow, shape (flows,).
    """
    links, depth = len(capacities), paths.shape[1]
    rest = np.append(capacities, math.inf)  # -1 finds the last one, which is never used up
    paths = np.where(paths < 0, links, paths)
    rates = np.zeros(len(caps))
    keys = caps / weights
    flows = np.arange(len(caps))
    while len(flows):
        across, weight = paths[flows], weights[flows]
        total = np.bincount(across.ravel(), np.repeat(weight, depth), links + 1)
        used = total > 0
        levels = np.full(links + 1, math.inf)
        levels[used] = np.maximum(rest[used], 0.0) / total[used]
        lowest = levels[across].min(axis=1)
        settled = keys[flows] <= lowest
        if settled.any():
            shares = caps[flows[settled]]
        else:
            beaten = lowest[:, None] < levels[across] * (1 - TIE)
            bottleneck = np.ones(links + 1, dtype=bool)
            bottleneck[across[beaten]] = False
            bottleneck[links] = False
            settled = bottleneck[across].any(axis=1)
            shares = weight[settled] * lowest[settled]
        rates[flows[settled]] = shares
        rest -= np.bincount(across[settled].ravel(), np.repeat(shares, depth), links + 1)
        rest[links] = math.inf
        flows = flows[~settled]
    return rates


class _Placed(Upload):
    """An upload and its row in the arrays of :class:`SharedNetwork`."""

    __slots__ = ("row",)
    row: int


class SharedNetwork(Sharing[_Placed]):
    """Flows that cross any number of shared links each, and their own caps.

    All rates are worked out anew whenever flows come or go or a capacity changes, in time linear in
    the flows that are there. Where only one link is shared,
    :class:`~fsim.network.sharing.shared_link.SharedLink` gives the same in far less.

    Parameters
    ----------
    links
        The shared links; a path names them by their places here.
    start
        Seconds on the clock to begin with.
    """

    _kind = _Placed
    _columns: ClassVar[tuple[str, ...]] = ("remaining", "since", "rate", "cap", "weight", "finish")

    def __init__(self, links: Sequence[Capacity], start: float = 0.0) -> None:
        super().__init__(links, start)
        self._rows: list[_Placed] = []
        self._table = np.zeros((len(self._columns), 16))
        self._paths = np.full((16, 1), -1, dtype=np.int64)
        self._head = -1

    def add(
        self,
        time: float,
        size: float,
        path: Sequence[int],
        cap: Capacity | Cursor | None = None,
        weight: float = 1.0,
        flow: int | None = None,
    ) -> int:
        """Let a flow begin.

        Parameters
        ----------
        time
            Seconds.
        size
            Bytes.
        path
            Shared links that it crosses, in any order, at least one.
        cap
            Its own link, on the clock of the simulation, or a cursor of its own that stands at that
            time; None for no limit.
        weight
            Its share beside the others'.
        flow
            Its number; by default one above the highest so far.

        Returns
        -------
        int
            Its number.

        Raises
        ------
        ValueError
            No such size, weight, path or number is allowed, or the clock is past that time.
        TraceError
            A capacity says nothing about that time.
        """
        links = range(len(self._links))
        if not path or len(set(path)) < len(path) or any(link not in links for link in path):
            raise ValueError(
                f"found the path {list(path)}, allowed are links from 0 to {len(self._links) - 1}, "
                "each at most once"
            )
        return self._add(time, size, cap, weight, flow, tuple(path))

    def rates(self) -> dict[int, float]:
        """Bytes/s of every flow now."""
        self._next_time()
        return {upload.flow: float(self._column("rate")[upload.row]) for upload in self._rows}

    def _column(self, name: str) -> Floats:
        """A row of the table, as far as there are flows."""
        column: Floats = self._table[self._columns.index(name), : len(self._rows)]
        return column

    def _share(self) -> None:
        if not self._rows:
            return
        rate, remaining, since = (
            self._column("rate"),
            self._column("remaining"),
            self._column("since"),
        )
        capacities = np.array([link.rate for link in self._links])
        paths = self._paths[: len(self._rows)]
        new = max_min_rates(self._column("cap"), self._column("weight"), paths, capacities)
        # What is left of a flow is only touched when its rate changes, so that nothing drifts.
        changed = np.flatnonzero(new != rate)
        sent_bytes = rate[changed] * (self.now - since[changed])
        remaining[changed] = np.maximum(remaining[changed] - sent_bytes, 0.0)
        since[changed] = self.now
        rate[changed] = new[changed]
        with np.errstate(divide="ignore"):
            self._column("finish")[:] = since + np.where(rate > 0, remaining / rate, math.inf)

    def _next_finish(self) -> float:
        if not self._rows:
            return math.inf
        finish = self._column("finish")
        self._head = int(np.argmin(finish))
        return float(finish[self._head])

    def _next_rest(self) -> float:
        return self._remaining(self._head) / self._rows[self._head].size

    def _remaining(self, row: int) -> float:
        _, since, rate = self._table[:3, row]
        return max(0.0, float(self._table[0, row] - rate * (self.now - since)))

    def _finish_next(self) -> None:
        self._finish_flow(self._rows[self._head])

    def _flowing(self) -> bool:
        return bool(self._column("rate").any())

    def _move(self, time: float) -> None:
        """Nothing: what is left follows from the rates and since when they have held."""

    def _join(self, upload: _Placed, remaining: float) -> None:
        row = upload.row = len(self._rows)
        if row == self._table.shape[1]:
            self._table = np.concatenate((self._table, np.zeros_like(self._table)), axis=1)
            self._paths = np.concatenate((self._paths, np.full_like(self._paths, -1)))
        more = len(upload.path) - self._paths.shape[1]
        if more > 0:
            wider = np.full((len(self._paths), more), -1, dtype=np.int64)
            self._paths = np.concatenate((self._paths, wider), axis=1)
        self._rows.append(upload)
        cap = math.inf if upload.cap is None else upload.cap.rate
        self._table[:, row] = (remaining, self.now, 0.0, cap, upload.weight, math.inf)
        self._paths[row] = -1
        self._paths[row, : len(upload.path)] = upload.path

    def _leave(self, upload: _Placed) -> float:
        remaining = self._remaining(upload.row)
        last = self._rows.pop()
        if last is not upload:
            self._rows[upload.row] = last
            self._table[:, upload.row] = self._table[:, last.row]
            self._paths[upload.row] = self._paths[last.row]
            last.row = upload.row
        return remaining

    def _recap(self, upload: _Placed) -> None:
        assert upload.cap is not None
        self._table[self._columns.index("cap"), upload.row] = upload.cap.rate
