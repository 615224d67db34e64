"""The downlink's payload: the adapter, or its change since the client's own version."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fsim.compression import EncodingContext, Policy
from fsim.compression.faults import explained, running
from fsim.core.errors import EncodingFailed, PayloadError
from fsim.core.rng import stream
from fsim.core.types import Layout, Update


@dataclass
class Broadcast:
    """Encodes the global adapter for clients, once for all who get the same bytes.

    Attributes
    ----------
    policy
        Codec of what is sent.
    content
        ``"adapter"``: all of it, every time. ``"delta"``: to a client that has an earlier version,
        the difference between the adapter and what that client has, codec errors included, so that
        they do not add up; to a new client, all of it.
    seed
        The scenario's.
    """

    policy: Policy
    content: Literal["adapter", "delta"]
    layout: Layout
    seed: int
    _versions: dict[tuple[int, int], tuple[int, int, Update]] = field(default_factory=dict)
    _has: dict[int, tuple[int, Update | None]] = field(default_factory=dict)
    _received: int = 0

    def send(self, client: int, version: int, adapter: Update) -> tuple[int, Update]:
        """Bytes of what is sent to a client, and the adapter that it then has.

        Parameters
        ----------
        client
            Its number.
        version, adapter
            The global adapter, and its number.

        Raises
        ------
        EncodingFailed
            The policy cannot express the adapter.
        """
        # Clients of one history have one adapter: it has one number.
        number, base = self._has.get(client, (0, None))
        key = (version, number)
        if key not in self._versions:
            if len(self._versions) > 256:
                self._versions.clear()
            content = adapter if base is None else {n: adapter[n] - base[n] for n in adapter}
            rng = stream(self.seed, "server.downlink", version)
            try:
                with running(self.policy, ValueError):
                    payload = self.policy.encode(content, EncodingContext(rng))
            except ValueError as error:
                raise EncodingFailed(
                    f"the global adapter of version {version} cannot be sent "
                    f"(server.downlink_policy: {self.policy.name}): {explained(error)}"
                ) from error
            with running(self.policy, PayloadError):
                got = self.policy.decode(payload, self.layout)
            if base is not None:
                got = {n: (base[n] + got[n]).astype(np.float32) for n in got}
            self._received += 1
            self._versions[key] = len(payload), self._received, got
        size, number, received = self._versions[key]
        if self.content == "delta":
            self._has[client] = number, received
        return size, received
