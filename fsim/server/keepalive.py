"""Keepalive: how a server notices that a client has fallen silent, in gRPC's terms.

A client whose process ends is noticed by itself: its kernel closes the connection. One whose radio
is gone says nothing any more, and only what goes unanswered tells. What is modelled, with the names
of gRPC (grpc/grpc, doc/keepalive.md; grpc/proposal, A18-tcp-user-timeout.md):

- ``time`` after the last byte from a client the server sends a ping, and ``time`` after its answer
  the next; a ping that has no answer within ``timeout`` ends the connection.
- Of what the server itself sends, as of a ping, nothing may stay unacknowledged for longer than
  ``timeout``, by the socket option TCP_USER_TIMEOUT that gRPC sets to it on Linux.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Keepalive:
    """A server's pings of clients that it has not heard of for a while.

    Attributes
    ----------
    time
        Seconds without anything from a client until it is pinged.
    timeout
        Seconds until a ping, or anything else that was sent, has to be acknowledged.
    """

    time: float
    timeout: float

    def closes_idle(self, heard: float, answered_until: float) -> float:
        """The time at which a connection ends over which nothing but pings is sent, seconds.

        Parameters
        ----------
        heard
            The last byte from the client but for answers to pings, seconds. Pings are sent at whole
            multiples of :attr:`time` after it; the round trip that an answer takes, after which
            gRPC's timer begins again, is left out.
        answered_until
            Pings sent before then are answered, seconds.
        """
        pings = max(1, math.ceil((answered_until - heard) / self.time))
        # The division may round to one ping too few.
        return max(heard + pings * self.time, answered_until) + self.timeout

    def closes_sending(self, acknowledged: float) -> float:
        """The time at which a connection ends over which the server sends, seconds.

        Parameters
        ----------
        acknowledged
            The last acknowledgement, or the first byte where there was none, seconds.
        """
        return acknowledged + self.timeout


KEEPALIVES = {
    "flower": Keepalive(time=210.0, timeout=20.0),
    "grpc": Keepalive(time=7200.0, timeout=20.0),
}
"""Name -> keepalive of a server as it comes.

``flower``: ``keepalive_time_ms`` of ``generic_create_grpc_server`` (adap/flower,
framework/py/flwr/common/grpc.py), which leaves gRPC's timeout as it is. ``grpc``: a server of gRPC
Core (grpc/grpc, doc/keepalive.md, "Defaults Values"); its clients send no pings by default.
"""
