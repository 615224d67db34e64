"""Finish times of many transfers at once, by transport."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fsim.core.errors import TransferNeverEnds
from fsim.network.links.capacity import Capacity
from fsim.network.transports.base import Transport
from fsim.network.transports.growth import streamed
from fsim.network.transports.pace import INITIAL_FLIGHT
from fsim.network.transports.packets import DATAGRAM_PAYLOAD, PACKET, with_headers
from fsim.network.transports.tcp import Arq, Tcp
from fsim.network.transports.transports import Datagram, Fluid
from fsim.network.vectorised.bank import CapacityBank, FinishTimes
from fsim.network.vectorised.followers import Floats, Integers, columns


def finish_times(
    transport: Transport,
    bank: CapacityBank,
    clients: Integers,
    sizes: npt.ArrayLike,
    starts: npt.ArrayLike,
    round_trips: npt.ArrayLike,
) -> FinishTimes:
    """:meth:`Transport.finish_time` of many transfers at once, each over a connection of its own.

    Parameters
    ----------
    transport
        How they travel.
    bank
        The links of the population.
    clients
        Whose transfers they are, shape (transfers,).
    sizes, starts, round_trips
        Payload bytes and seconds, of that shape or single numbers.

    Raises
    ------
    NotImplementedError
        A transport of somebody else's.
    """
    who, (size, start, round_trip) = columns(clients, sizes, starts, round_trips)
    match transport:
        case Fluid():
            seconds = bank.finish_times(who, start, size).seconds
        case Datagram():
            wire = size + np.ceil(size / DATAGRAM_PAYLOAD) * (PACKET - DATAGRAM_PAYLOAD)
            seconds = bank.finish_times(who, start, wire).seconds + round_trip / 2
        case Tcp(loss=0) | Arq():
            links = bank if transport.share == 1 else bank.scaled(transport.share)
            begin = start + transport.set_up_round_trips(reconnects=False) * round_trip
            wire = with_headers(transport.framed(size))
            seconds = _windows(links, who, wire, begin, round_trip) + round_trip / 2
        case Tcp():
            each = zip(who, size.astype(int), start, round_trip, strict=True)
            seconds = np.array(
                [_one(transport, bank.capacity(client), *way) for client, *way in each]
            )
        case _:
            raise NotImplementedError(
                f"found transport {transport.name}, allowed are those of fsim"
            )
    return FinishTimes(seconds, who, start, size)


def _one(
    transport: Transport, capacity: Capacity, size: int, start: float, round_trip: float
) -> float:
    """Finish time of one transfer, ``inf`` for one that never ends."""
    try:
        return transport.finish_time(capacity, size, start, round_trip)
    except TransferNeverEnds:
        return math.inf


def _windows(
    links: CapacityBank, who: Integers, wire: Floats, start: Floats, round_trip: Floats
) -> Floats:
    """Times at which the last bytes of many connections are sent; ``inf`` for one that never ends.

    In slow start a flight is twice the one before, so that there are as many as a payload has
    doublings. What follows is worked out one by one where a link rises beyond the window.
    """
    time, rest, window = start.copy(), wire.copy(), np.full(who.shape, INITIAL_FLIGHT)
    active = np.flatnonzero(window < rest)
    while len(active):
        rates = links.rates_at(who[active], time[active])
        active = active[window[active] < rates * round_trip[active]]
        finish = links.finish_times(who[active], time[active], window[active]).seconds
        time[active] = np.maximum(time[active] + round_trip[active], finish)
        rest[active] -= window[active]
        window[active] *= 2
        active = active[np.isfinite(finish) & (window[active] < rest[active])]
    ends = np.flatnonzero(np.isfinite(time))
    seconds = np.full(who.shape, math.inf)
    seconds[ends] = links.finish_times(who[ends], time[ends], rest[ends]).seconds
    for one in np.flatnonzero((window < rest) & (round_trip > 0) & np.isfinite(seconds)):
        link = links.capacity(who[one])
        if link.changes:
            seconds[one], _ = streamed(link, time[one], rest[one], round_trip[one], window[one])
    return seconds
