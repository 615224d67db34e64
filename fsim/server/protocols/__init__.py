"""Round protocols: when the server stops waiting. One module a protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsim.core.registry import Registry
from fsim.server.protocols.base import RoundProtocol
from fsim.server.protocols.buffered import Asynchronous, Buffered
from fsim.server.protocols.deadline import Deadline
from fsim.server.protocols.synchronous import Synchronous
from fsim.server.protocols.tiered import Tiered

PROTOCOLS: Registry[RoundProtocol] = Registry(
    "protocol",
    RoundProtocol,
    "fsim.server.protocols.RoundProtocol",
    (Synchronous, Deadline, Buffered, Asynchronous, Tiered),
)
"""Name -> protocol."""


def make_protocol(name: str, options: Mapping[str, Any]) -> RoundProtocol:
    """A protocol by name; see :func:`fsim.core.registry.choose` for what is raised."""
    return PROTOCOLS.make(name, options)


__all__ = ["PROTOCOLS", "RoundProtocol", "make_protocol"]
