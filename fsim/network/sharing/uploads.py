"""Shared bottlenecks: when each of many uploads that share links has finished.

A cell, a backhaul, the link of the server: each gives weighted max-min fair shares of what it has
to those who want it, who have caps of their own that change over time. :func:`finish_times` answers
for uploads that are all known beforehand; :class:`SharedLink` and :class:`SharedNetwork` do so
while uploads come and go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fsim.core.errors import TransferNeverEnds
from fsim.network.links.capacity import Capacity
from fsim.network.sharing.max_min import SharedNetwork
from fsim.network.sharing.shared_link import SharedLink

__all__ = ["Flow", "SharedLink", "SharedNetwork", "finish_times"]


@dataclass(frozen=True)
class Flow:
    """An upload.

    Attributes
    ----------
    start
        Seconds at which it begins.
    size
        Bytes.
    cap
        Its own link; None for no limit but the shared ones.
    weight
        Its share beside the others'.
    path
        Shared links that it crosses, by their places in the list of links.
    """

    start: float
    size: float
    cap: Capacity | None = None
    weight: float = 1.0
    path: tuple[int, ...] = (0,)


def finish_times(flows: Sequence[Flow], links: Sequence[Capacity]) -> npt.NDArray[np.float64]:
    """Finish times of a set of uploads.

    Links that no flow connects are worked out apart, and one that stands alone the fast way.

    Parameters
    ----------
    flows
        The uploads, in any order.
    links
        The shared links.

    Returns
    -------
    numpy.ndarray
        Seconds, shape (flows,), in the order of the flows; ``inf`` for one that never finishes.

    Raises
    ------
    ValueError
        A flow has a start, size, weight or path that is not allowed.
    TransferNeverEnds
        A flow takes so many changes of capacity that it was given up
        (:data:`fsim.network.sharing.base.MAX_CHANGES`).
    TraceError
        A capacity ends before a flow that needs it has finished, its ``past_end`` being "error".
    """
    for number, flow in enumerate(flows):
        if not 0 <= flow.start < math.inf:
            raise ValueError(
                f"flow {number}: found a start of {flow.start} s, allowed is 0 s or later, finite"
            )
    finish = np.full(len(flows), math.inf)
    parts: dict[int, list[int]] = {}
    part_of = _connected(flows, len(links))
    for number in sorted(range(len(flows)), key=lambda number: (flows[number].start, number)):
        if flows[number].path:
            parts.setdefault(part_of[flows[number].path[0]], []).append(number)
        else:
            finish[number] = _alone(number, flows[number])
    for part, numbers in parts.items():
        inside = [link for link, belongs in enumerate(part_of) if belongs == part]
        for number, time in _play(flows, numbers, links, inside):
            finish[number] = time
    return finish


def _alone(number: int, flow: Flow) -> float:
    if flow.cap is None:
        raise ValueError(f"flow {number}: found neither a cap nor a shared link, allowed is either")
    try:
        return flow.cap.finish_time(flow.start, flow.size)
    except TransferNeverEnds:
        return math.inf


def _connected(flows: Sequence[Flow], links: int) -> list[int]:
    """For each link, the lowest of all links that flows connect with it."""
    parent = list(range(links))

    def root(link: int) -> int:
        while parent[link] != link:
            parent[link] = parent[parent[link]]
            link = parent[link]
        return link

    for number, flow in enumerate(flows):
        if len(set(flow.path)) < len(flow.path) or any(not 0 <= p < links for p in flow.path):
            raise ValueError(
                f"flow {number}: found the path {flow.path}, allowed are links from 0 to "
                f"{links - 1}, each at most once"
            )
        for link in flow.path[1:]:
            one, other = sorted((root(flow.path[0]), root(link)))
            parent[other] = one
    return [root(link) for link in range(links)]


def _play(
    flows: Sequence[Flow], numbers: Sequence[int], links: Sequence[Capacity], inside: Sequence[int]
) -> list[tuple[int, float]]:
    """Finishes of some flows, which are in the order of their starts and use the links inside."""
    start = flows[numbers[0]].start
    if len(inside) == 1:
        alone = SharedLink(links[inside[0]], start)
        for number in numbers:
            flow = flows[number]
            alone.add(flow.start, flow.size, flow.cap, flow.weight, number)
        return alone.drain()
    network = SharedNetwork([links[link] for link in inside], start)
    place = {link: at for at, link in enumerate(inside)}
    for number in numbers:
        flow = flows[number]
        path = [place[link] for link in flow.path]
        network.add(flow.start, flow.size, path, flow.cap, flow.weight, number)
    return network.drain()
