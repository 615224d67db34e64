"""SCAFFOLD's control variates on their way: the server's down, a client's change up.

Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML 2020,
algorithm 1, option II. The server keeps ``c``, every client its own ``c_i``; both begin at zero.
Only tensors that a round trains have a gradient to correct: the others are neither sent nor changed
by it.

The server's ``c`` is meant to be the mean of all ``c_i``. A client therefore takes its new ``c_i``
only if its update entered the global adapter; one that was lost, late or rejected keeps the old.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fsim.algorithms.corrections import Scaffold, scaffold_control, scaffold_control_delta
from fsim.compression import EncodingContext, Policy, make_policy
from fsim.core.rng import participation, stream
from fsim.core.types import Layout, Update
from fsim.server.protocols.base import ClientUpdate


@dataclass(frozen=True)
class ClientControl:
    """A client's part in SCAFFOLD, in one round.

    Attributes
    ----------
    sent
        The server's control variate as the client was sent it, of the tensors that are trained.
    own
        The client's own, of the same tensors.
    size
        Bytes that the server's took on its way; a client's change takes as many.
    """

    sent: Update
    own: Update
    size: int
    learning_rate: float
    policy: Policy
    rng: np.random.Generator

    def drift(self, layout: Layout) -> Update:
        """What is added to each gradient, ``c - c_i``; zero where nothing is trained."""
        return {
            spec.name: self.sent[spec.name] - self.own[spec.name]
            if spec.name in self.sent
            else np.zeros(spec.shape, np.float32)
            for spec in layout.tensors
        }

    def encode(self, delta: Update, steps: int) -> bytes:
        """How the client's control variate changes, serialised.

        Parameters
        ----------
        delta
            What training changed, not what is left of it after compression.
        steps
            That training took.

        Raises
        ------
        ValueError
            The change cannot be expressed at this precision.
        """
        trained = {name: delta[name] for name in self.sent}
        change = scaffold_control_delta(self.sent, trained, steps, self.learning_rate)
        return self.policy.encode(change, EncodingContext(self.rng))

    def decode(self, payload: bytes) -> Update:
        """The change as the server reads it.

        Raises
        ------
        PayloadError
            The bytes are no such change.
        """
        return self.policy.decode(payload, Layout.of(self.sent))


@dataclass
class Controls:
    """The control variates of a run.

    Attributes
    ----------
    layout
        Of the adapter.
    clients
        How many there are in all (``N``).
    learning_rate
        Of the local steps.
    seed
        The scenario's.
    """

    scaffold: Scaffold
    layout: Layout
    clients: int
    learning_rate: float
    seed: int
    server: Update = field(init=False)
    own: dict[int, Update] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._policy = make_policy(self.scaffold.precision, {})
        self.server = self._zeros()

    def begin(
        self, client: int, round_number: int, trained: Sequence[str], repeat: int = 0
    ) -> ClientControl:
        """Send a client the server's control variate of the tensors that it is to train.

        ``repeat`` says how often it was asked before in this round.
        """
        content = {name: self.server[name] for name in trained}
        rng = stream(self.seed, "server.control", *participation(client, round_number, repeat))
        payload = self._policy.encode(content, EncodingContext(rng))
        own = self.own.get(client) or self._zeros()
        return ClientControl(
            sent=self._policy.decode(payload, Layout.of(content)),
            own={name: own[name] for name in trained},
            size=len(payload),
            learning_rate=self.learning_rate,
            policy=self._policy,
            rng=rng,
        )

    def accept(self, arrivals: Sequence[ClientUpdate]) -> None:
        """Take over what clients changed whose updates entered the global adapter."""
        changes = []
        for arrival in arrivals:
            if arrival.control is None:
                raise ValueError(f"client {arrival.client} sent no control variate")
            change = self._zeros() | arrival.control
            own = self.own.get(arrival.client) or self._zeros()
            self.own[arrival.client] = {name: own[name] + change[name] for name in own}
            changes.append(change)
        if changes:
            self.server = scaffold_control(self.server, changes, self.clients)

    def _zeros(self) -> Update:
        return {spec.name: np.zeros(spec.shape, np.float32) for spec in self.layout.tensors}
