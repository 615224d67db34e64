"""Packets of a payload, and the headers that they carry beside it."""

from __future__ import annotations

from typing import overload

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PACKET = 1500
"""Bytes of a full packet on the link: the MTU of Ethernet (RFC 894) and of most else."""

IPV4_HEADER = 20
"""Bytes, without options (RFC 791)."""

TCP_HEADER = 20
"""Bytes, without options (RFC 9293)."""

TCP_TIMESTAMPS = 12
"""Bytes of the timestamps option (RFC 7323) as it is padded; Linux sends it by default."""

UDP_HEADER = 8
"""Bytes (RFC 768)."""

SEGMENT_WIRE = PACKET
SEGMENT_PAYLOAD = PACKET - IPV4_HEADER - TCP_HEADER - TCP_TIMESTAMPS
"""Bytes of payload in a full TCP segment: 1448."""

DATAGRAM_PAYLOAD = PACKET - IPV4_HEADER - UDP_HEADER
"""Bytes of payload in a full UDP datagram: 1472."""


def packets(size: int) -> int:
    """Datagrams that a payload takes, the last one as small as it comes."""
    return -(-size // DATAGRAM_PAYLOAD)


@overload
def with_headers(size: float) -> float: ...


@overload
def with_headers(size: Floats) -> Floats: ...


def with_headers(size: float | Floats) -> float | Floats:
    """Bytes on the link of a TCP payload, in segments of which the last may be a part."""
    return size * SEGMENT_WIRE / SEGMENT_PAYLOAD
