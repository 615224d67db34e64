"""Transfers of a client that comes and goes: what is kept, what is sent in vain.

Between two interruptions a transfer is the closed form of its transport; nothing is stepped. An
interrupted connection is gone: what resumes or restarts it is a new one, with a handshake and a
slow start of its own, for a phone that was off, out of reach or on another network comes back with
another address, and its old congestion window says nothing about the new path.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from fsim.core.errors import ScenarioError, TraceError, TransferNeverEnds
from fsim.network.links.capacity import Capacity
from fsim.network.transports.base import Transport
from fsim.network.transports.pace import NEW_CONNECTION, Opening, Window
from fsim.network.transports.waking import AWAKE, Waking

Rule = Literal["resume", "restart", "lost"]

MOST_WINDOWS = 10_000
"""Times that a client may be there for a transfer, or for work, before it is given up."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a transfer; what was sent and not lost is all of the payload, or none.

    Attributes
    ----------
    finish
        Seconds, when it was through; None if it never was.
    sent_bytes
        Payload bytes put on the link, those sent again counted again.
    lost_bytes
        Of these, bytes of no use: sent before a restart, or of a transfer that was not finished.
    window
        Of the sender when it was through; None if it never was.
    """

    finish: float | None
    sent_bytes: int
    lost_bytes: int
    window: Window | None = field(default=None, compare=False)


def interrupted(
    transport: Transport,
    capacity: Capacity,
    size: int,
    start: float,
    round_trip: float,
    windows: Iterable[tuple[float, float]],
    rule: Rule,
    most_windows: int = MOST_WINDOWS,
    opening: Opening = NEW_CONNECTION,
    waking: Waking = AWAKE,
) -> Outcome:
    """Transfer a payload within the times at which the client is there.

    Parameters
    ----------
    transport, capacity, size, start, round_trip
        As in :meth:`Transport.finish_time`. A transfer asked for while the client is away begins
        when it comes back.
    windows
        From when to when the client is there, seconds, in the order of time, the last one ending
        at ``inf`` if it stays. Read only as far as needed, so that it may go on for ever. A client
        that sends has to be there until its last byte is on the link, one that receives until it
        has arrived.
    rule
        What an interruption leaves. ``"resume"``: all whole bytes (of a datagram, packets) put on
        the link by then arrive, and the rest follows; which ones arrived the server tells in its
        first answer, at no time beyond the new connection's. ``"restart"``: nothing, and all is
        sent again. ``"lost"``: nothing, and nothing is sent again.
    most_windows
        How many windows to try, for a payload may not fit any.
    opening
        The connection at ``start``, which is lost if the client is away then.
    waking
        The client's radio, which wakes up at the beginning of a window if it has slept.

    Raises
    ------
    TransferNeverEnds
        The capacity stays at zero from a time on at which the client is there, or all the windows
        were tried in vain. It says what was sent until when.
    TraceError
        The capacity's trace ends first, and does not say what follows.
    ScenarioError
        There is no such rule.
    ValueError
        A window is empty, or begins before the one before it ended.
    """
    if rule not in get_args(Rule):
        raise ScenarioError(
            f"found the rule {rule!r} for interrupted transfers, allowed are "
            f"{', '.join(get_args(Rule))}"
        )
    received, lost, tries, last, last_end = 0, 0, 0, -math.inf, start
    for begin, end in windows:
        if not last <= begin < end:
            raise ValueError(
                f"found the client there from {begin} s to {end} s after {last} s, "
                "allowed are windows in the order of time, none empty"
            )
        last = end
        if end <= start:
            continue
        if tries == most_windows:
            raise not_through(size, start, tries, last_end, received + lost)
        if begin > start:
            opening = opening.anew()
        here = max(start, begin)
        opening, waking = opening._replace(promotion=waking.promotion(here)), waking.used(end)
        tries, last_end = tries + 1, end
        try:
            finish, amount, grown = _within(
                transport, capacity, size - received, here, end, round_trip, opening
            )
        except TransferNeverEnds as error:
            error.sent_bytes += received + lost
            raise
        if finish is not None:
            return Outcome(finish, size + lost, lost, grown)
        if rule == "resume":
            received += amount
        else:
            lost += amount
        if rule == "lost":
            break
        opening = opening.anew()
    return Outcome(None, received + lost, received + lost)


def not_through(
    size: int, start: float, windows: int, end: float, sent_bytes: int
) -> TransferNeverEnds:
    """Error for a transfer that ``windows`` windows were too short for."""
    return TransferNeverEnds(
        f"{size} bytes asked for at {start:g} s are not through after the client has been "
        f"there {windows} times",
        end,
        sent_bytes,
    )


def _within(
    transport: Transport,
    capacity: Capacity,
    size: int,
    start: float,
    end: float,
    round_trip: float,
    opening: Opening,
) -> tuple[float | None, int, Window | None]:
    """Finish of a transfer by ``end``, or None; bytes sent by then, and the window that is left."""
    grown, needed = None, math.inf

    def sent_by(time: float) -> int:
        return transport.sent_by(capacity, size, start, time, round_trip, opening)

    try:
        pace = transport.whole_pace(size, round_trip, opening)
        finish, grown = transport.end(capacity, pace, start, round_trip)
        needed = finish if opening.fetched else finish - pace.closing
    except (TransferNeverEnds, TraceError) as error:
        # Whatever happens to the capacity after the client has left is not this transfer's concern.
        dies = max(start, capacity.dies_at)
        if isinstance(error, TransferNeverEnds) and dies < end:
            error.end = dies
            error.sent_bytes = sent_by(dies)
            raise
        if math.isinf(end):
            raise
        finish = math.inf
    if needed <= end:
        return finish, size, grown
    return None, sent_by(end), None
