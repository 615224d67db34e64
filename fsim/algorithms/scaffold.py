"""SCAFFOLD: control variates at the server and on every client.

Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML 2020,
algorithm 1, option II. The server keeps ``c``, every client its own ``c_i``; both begin at zero. A
local step goes along ``g - c_i + c``. Only tensors that a round trains have a gradient to correct:
the others are neither sent nor changed by it. The adapter itself moves by the equally weighted mean
of the deltas.

The server's ``c`` is meant to be the mean of all ``c_i``. A client therefore takes its new ``c_i``
only if its update entered the global adapter; one that was lost, late or rejected keeps the old.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import numpy as np

from fsim.algorithms.base import (
    Algorithm,
    AlgorithmState,
    ClientSide,
    ClientValues,
    Conditions,
    Federation,
)
from fsim.compression import EncodingContext, Policy, make_policy
from fsim.core.rng import participation, stream
from fsim.core.types import GradientCorrection, Layout, Update
from fsim.server.aggregation import check_layouts
from fsim.server.protocols.base import ClientUpdate

PLAIN_STEPS = frozenset({"sensitivity", "merging"})
"""Requests of a policy to training that leave a local step one along a gradient."""


@dataclass(frozen=True)
class Scaffold(Algorithm):
    """Correct each local step by control variates, which travel beside adapter and update.

    Attributes
    ----------
    precision
        Of the control variates on their way down and up: a policy's name. What is rounded is
        rounded at both ends alike.
    """

    name: ClassVar[str] = "scaffold"

    precision: Literal["float32", "float16", "bfloat16"] = "float32"

    def check(self, conditions: Conditions) -> None:
        """Refuse what its control variates do not fit."""
        if conditions.optimizer != "sgd":
            raise self.contradiction(
                f"training.optimizer: {conditions.optimizer}", "sgd, whose steps it corrects"
            )
        if conditions.proximal:
            raise self.contradiction(f"training.proximal: {conditions.proximal:g}", "0")
        self.check_client_values(
            conditions,
            weighed="its control variates weigh clients",
            whole="a control variate",
        )
        request = conditions.policy.training_request()
        requested = {f.name for f in fields(request) if getattr(request, f.name) is not None}
        if requested - PLAIN_STEPS:
            raise self.contradiction(
                f"compression.policy: {conditions.policy.name}",
                "a policy that leaves local steps those of plain SGD",
            )

    def begin(self, federation: Federation) -> ScaffoldState:
        """All control variates at zero."""
        return ScaffoldState(federation, make_policy(self.precision, {}))


class ScaffoldState(AlgorithmState):
    """The control variates of a run.

    Parameters
    ----------
    federation
        Of the run.
    policy
        Serialises them.

    Attributes
    ----------
    controls
        ``c`` and all ``c_i``.
    """

    def __init__(self, federation: Federation, policy: Policy) -> None:
        self.controls = ClientValues(federation)
        self._federation, self._policy = federation, policy

    def client(
        self, client: int, round_number: int, trained: Iterable[str], repeat: int = 0
    ) -> ScaffoldClient:
        """Send a client the server's control variate of the tensors that it is to train."""
        federation = self._federation
        content = {name: self.controls.server[name] for name in trained}
        keys = participation(client, round_number, repeat)
        rng = stream(federation.seed, "server.control", *keys)
        payload = self._policy.encode(content, EncodingContext(rng))
        own = self.controls.of(client)
        return ScaffoldClient(
            download_bytes=len(payload),
            upload_bytes=len(payload),
            server=self._policy.decode(payload, Layout.of(content)),
            own={name: own[name] for name in content},
            layout=federation.layout,
            learning_rate=federation.learning_rate,
            policy=self._policy,
            rng=rng,
        )

    def accept(self, arrivals: Sequence[ClientUpdate]) -> None:
        """Change the control variates of the clients whose updates enter, and their mean.

        Raises
        ------
        ValueError
            A client sent no change.
        """
        changes = []
        for arrival in arrivals:
            if arrival.companion is None:
                raise ValueError(f"client {arrival.client} sent no control variate")
            changes.append((arrival.client, arrival.companion))
        self.controls.change(changes)


@dataclass(frozen=True, kw_only=True)
class ScaffoldClient(ClientSide):
    """A client's control variate and the server's, in one round.

    Attributes
    ----------
    server
        The server's control variate as the client was sent it, of the tensors that are trained.
    own
        The client's own, of the same tensors.
    layout
        Of the adapter.
    learning_rate
        Of local steps.
    """

    companion: ClassVar[str] = "control"

    server: Update
    own: Update
    layout: Layout
    learning_rate: float
    policy: Policy
    rng: np.random.Generator

    def correction(self) -> GradientCorrection:
        """``c - c_i`` in every step; zero where nothing is trained."""
        return GradientCorrection(
            {
                spec.name: self.server[spec.name] - self.own[spec.name]
                if spec.name in self.server
                else np.zeros(spec.shape, np.float32)
                for spec in self.layout.tensors
            }
        )

    def encode(self, delta: Update, steps: int) -> bytes:
        """Serialise the change of the client's control variate."""
        trained = {name: delta[name] for name in self.server}
        change = control_change(self.server, trained, steps, self.learning_rate)
        return self.policy.encode(change, EncodingContext(self.rng))

    def decode(self, companion: bytes) -> Update:
        """Read the change of a control variate."""
        return self.policy.decode(companion, Layout.of(self.server))


def control_change(server: Update, delta: Update, steps: int, learning_rate: float) -> Update:
    """Change of a client's control variate in a round, ``c_i+ - c_i``.

    Option II: ``c_i+ = c_i - c + (x - y_i) / (K eta)``. The client's own control cancels: who knows
    K, eta, the control that was sent down and the delta knows the change.

    Parameters
    ----------
    server
        ``c`` as the client was sent it.
    delta
        ``y_i - x``, what training changed.
    steps
        ``K``, local SGD steps, 1 or more.
    learning_rate
        ``eta`` of those steps, more than 0.

    Raises
    ------
    ValueError
        Steps or a learning rate that are not as above, or different layouts.
    """
    if steps < 1:
        raise ValueError(f"steps: found {steps}, allowed is 1 or more")
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate: found {learning_rate}, allowed is more than 0")
    check_layouts([server, delta])
    return {
        name: (-control.astype(np.float64) - delta[name] / (steps * learning_rate)).astype(
            np.float32
        )
        for name, control in server.items()
    }
