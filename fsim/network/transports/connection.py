"""Connections that are kept from one transfer to the next, and the windows that they keep.

Clients of federated learning hold one connection open for all rounds. What a sender may have in the
air at once, its congestion window, stays as it has grown until it has been idle for longer than its
retransmission timeout; it is halved then, and once more for each timeout that it goes on idling,
down to that of a new connection (RFC 2861, which Linux follows).
"""

from __future__ import annotations

import math

from fsim.network.transports.pace import NEW_WINDOW, Window

MINIMUM_TIMEOUT = 0.2
"""Seconds; Linux's TCP_RTO_MIN (include/net/tcp.h). RFC 6298 would have 1 s."""


FORGOTTEN = 0.75
"""Part of what is known of the variation of round trips that outlives one of them (RFC 6298)."""


def timeout(round_trip: float, trips: float = math.inf) -> float:
    """Retransmission timeout of a path whose round trip (seconds) does not vary, seconds.

    The smoothed round trip and four times its variation (RFC 6298, section 2), of which Linux takes
    no less than 0.2 s. The first round trip that is timed is taken to vary by a half; that is
    forgotten with the ``trips`` that follow.
    """
    first = max(0.0, 2 * round_trip - MINIMUM_TIMEOUT)
    rest: float = FORGOTTEN ** max(0.0, trips - 1)
    return round_trip + MINIMUM_TIMEOUT + first * rest


class Connection:
    """A client's connection to the server.

    Attributes
    ----------
    last_used
        Seconds, when the last byte was sent over it, either way; ``-inf`` if it is not open.
    until
        Seconds, when its client goes away and it breaks.
    was_open
        Whether it was ever open, so that a session may be resumed.
    """

    __slots__ = ("_windows", "last_used", "until", "was_open")

    def __init__(self) -> None:
        self.was_open = False
        self.last_used = self.until = -math.inf
        self._windows: dict[str, tuple[Window, float]] = {}

    @property
    def is_open(self) -> bool:
        """True if there is one."""
        return self.last_used > -math.inf

    def window(self, direction: str, time: float, round_trip: float, restarts: bool) -> Window:
        """The window of its sender at a time (seconds).

        One that ``restarts`` is halved for each timeout without use, until it is as small as a new
        one; its threshold stays.
        """
        window, used = self._windows.get(direction, (NEW_WINDOW, -math.inf))
        timeouts = (time - used) / timeout(round_trip, window.trips)
        if not restarts or timeouts < 1 or window.size <= NEW_WINDOW.size:
            return window
        halvings = min(timeouts, math.ceil(math.log2(window.size / NEW_WINDOW.size)))
        return window._replace(size=max(NEW_WINDOW.size, window.size / 2 ** int(halvings)))

    def use(self, direction: str, time: float, window: Window, until: float = math.inf) -> None:
        """Note a transfer whose last byte was sent at a time (seconds), and its window."""
        self.last_used, self.until, self.was_open = time, until, True
        self._windows[direction] = window, time

    def close(self) -> None:
        """It is gone, with its windows."""
        self.last_used = self.until = -math.inf
        self._windows = {}
