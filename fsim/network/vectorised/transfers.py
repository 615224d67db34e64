"""Finish times of many transfers at once, by transport."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fsim.network.transports.base import Transport
from fsim.network.transports.pace import INITIAL_FLIGHT
from fsim.network.transports.packets import DATAGRAM_PAYLOAD, PACKET, with_headers
from fsim.network.transports.transports import Datagram, Fluid, Tcp
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
        A transport that has no closed form here.
    """
    who, (size, start, round_trip) = columns(clients, sizes, starts, round_trips)
    match transport:
        case Fluid():
            seconds = bank.finish_times(who, start, size).seconds
        case Datagram():
            wire = size + np.ceil(size / DATAGRAM_PAYLOAD) * (PACKET - DATAGRAM_PAYLOAD)
            seconds = bank.finish_times(who, start, wire).seconds + round_trip / 2
        case Tcp():
            share, caps = transport.share, np.broadcast_to(transport.cap(round_trip), who.shape)
            links = bank if share == 1 else bank.scaled(share)
            begin = start + transport.set_up_round_trips(reconnects=False) * round_trip
            wire = with_headers(transport.framed(size))
            time, remaining = _slow_starts(links, who, caps, wire, begin, round_trip)
            ends = np.isfinite(time)
            rest = links.finish_times(who[ends], time[ends], remaining[ends], caps[ends])
            seconds = np.full(who.shape, math.inf)
            seconds[ends] = rest.seconds + round_trip[ends] / 2
        case _:
            raise NotImplementedError(
                f"found transport {transport.name}, allowed are those of fsim"
            )
    return FinishTimes(seconds, who, start, size)


def _slow_starts(
    links: CapacityBank,
    who: Integers,
    caps: Floats,
    wire: Floats,
    start: Floats,
    round_trip: Floats,
) -> tuple[Floats, Floats]:
    """Slow start of many connections, flight by flight; ``inf`` for one that never ends.

    A flight is twice the one before, so that there are as many as a payload has doublings.
    """
    time, wire = start.copy(), wire.copy()
    flight = INITIAL_FLIGHT
    active = np.flatnonzero(flight < wire)
    while len(active):
        rates = np.minimum(links.rates_at(who[active], time[active]), caps[active])
        active = active[flight < rates * round_trip[active]]
        finish = links.finish_times(who[active], time[active], flight).seconds
        time[active] = np.maximum(time[active] + round_trip[active], finish)
        wire[active] -= flight
        flight *= 2
        active = active[np.isfinite(finish) & (flight < wire[active])]
    return time, wire
