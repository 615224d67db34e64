"""The base of algorithms with two sides, and the points at which one is plugged into a run.

An :class:`Algorithm` is the options of a scenario's ``server.correction``. For a run it makes an
:class:`AlgorithmState`, which holds what the server and the clients keep from round to round; for a
client in a round that makes a :class:`ClientSide`. Whatever a method does not override is done as
without an algorithm. In the order of a round:

1. :meth:`AlgorithmState.client`: a client is asked, and its side is made;
2. ``ClientSide.download_bytes``: what goes down beside the adapter;
3. :meth:`ClientSide.correction`: what is added to each of its gradients;
4. :meth:`ClientSide.encode`, :meth:`ClientSide.decode`: what goes up beside its update;
5. :meth:`AlgorithmState.accept`: what the server does once it is known whose updates entered;
6. :meth:`AlgorithmState.mean`: how they become one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict

from fsim.compression import Policy
from fsim.core.types import GradientCorrection, Layout, Update
from fsim.server.aggregation import Aggregation, WeightedMean, check_layouts, fedavg
from fsim.server.protocols.base import ClientUpdate, RoundProtocol


@dataclass(frozen=True)
class Conditions:
    """The rest of a scenario, as far as an algorithm may contradict it.

    Attributes
    ----------
    optimizer
        Of local steps.
    proximal
        FedProx's mu.
    transport
        Its name.
    loses_packets
        True if it may lose parts of a payload.
    """

    optimizer: str
    proximal: float
    aggregation: Aggregation
    protocol: RoundProtocol
    policy: Policy
    transport: str
    loses_packets: bool


@dataclass(frozen=True)
class Federation:
    """The run that an algorithm takes part in.

    Attributes
    ----------
    layout
        Of the adapter.
    clients
        Number of them in all, not of those that a round asks.
    learning_rate
        Of local steps.
    seed
        The scenario's.
    """

    layout: Layout
    clients: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class ClientSide:
    """An algorithm on a client, in one round.

    Attributes
    ----------
    companion
        The name, in records, of what is sent beside an adapter or an update.
    download_bytes, upload_bytes
        Its length each way, known before anything is sent; None where nothing is.
    """

    companion: ClassVar[str] = "companion"

    download_bytes: int | None = None
    upload_bytes: int | None = None

    def correction(self) -> GradientCorrection | None:
        """The correction of each gradient of local training; None for none."""
        return None

    def encode(self, delta: Update, steps: int) -> bytes | None:
        """Serialise what is sent up beside the update, ``upload_bytes`` long.

        Parameters
        ----------
        delta
            The change by training, before compression.
        steps
            That training took.

        Raises
        ------
        ValueError
            It cannot be expressed.
        """
        return None

    def decode(self, companion: bytes) -> Update:
        """Read what :meth:`encode` gave, as the server does.

        Raises
        ------
        PayloadError
            The bytes are no such thing.
        """
        raise NotImplementedError("nothing is sent beside the update")


class AlgorithmState:
    """An algorithm in one run: what the server keeps, and each client from round to round."""

    def client(
        self, client: int, round_number: int, trained: Iterable[str], repeat: int
    ) -> ClientSide:
        """A client's side in a round that it is asked in now.

        Parameters
        ----------
        trained
            The tensors that it is to train.
        repeat
            Times that it was asked before in this round.
        """
        return ClientSide()

    def accept(self, arrivals: Sequence[ClientUpdate]) -> None:
        """Take over what comes with updates that enter the global adapter, before they do.

        A client whose update was lost, late or rejected keeps what it had.
        """

    def mean(
        self,
        aggregation: Aggregation,
        updates: Sequence[Update],
        arrivals: Sequence[ClientUpdate],
        *,
        selected: Sequence[float] | None = None,
        scales: Sequence[float] | None = None,
    ) -> Update:
        """The one update that many become; the server's optimiser makes a step of it.

        Parameters
        ----------
        aggregation
            The scenario's rule.
        updates
            Decoded and screened.
        arrivals
            The arrivals that brought them, in the same order.
        selected, scales
            As for :meth:`fsim.server.aggregation.Aggregation.combine`.
        """
        examples = [arrival.weight for arrival in arrivals]
        coverages = [arrival.coverage for arrival in arrivals]
        partial: dict[str, Any] = {}
        if any(coverage is not None for coverage in coverages):
            # Only then, so that a rule of one's own need not know of it elsewhere.
            partial["coverages"] = coverages
        return aggregation.combine(updates, examples, selected=selected, scales=scales, **partial)


@dataclass(frozen=True)
class Algorithm:
    """An algorithm by its options: a frozen dataclass whose fields they are."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    name: ClassVar[str]

    def check(self, conditions: Conditions) -> None:
        """Refuse what contradicts the algorithm, naming both.

        Raises
        ------
        ValueError
            In one line (:meth:`contradiction`).
        """

    def contradiction(self, other: str, allowed: str) -> ValueError:
        """The error that this algorithm does not go with another setting."""
        return ValueError(f"server.correction: found {self.name} and {other}, allowed is {allowed}")

    def check_client_values(self, conditions: Conditions, weighed: str, whole: str) -> None:
        """Refuse what :class:`ClientValues`, and the mean of them, do not fit.

        Parameters
        ----------
        weighed
            What weighs all clients alike.
        whole
            What may not arrive in part.

        Raises
        ------
        ValueError
            Updates that are weighed unlike, come in a later round, or may lose a part.
        """
        aggregation, protocol = conditions.aggregation, conditions.protocol
        if not (isinstance(aggregation, WeightedMean) and aggregation.weights == "equal"):
            raise self.contradiction(
                f"server.aggregation: {aggregation.name}",
                f"fedavg with weights: equal, as {weighed}",
            )
        if not protocol.in_its_round:
            raise self.contradiction(
                f"protocol.kind: {protocol.name}",
                "synchronous, or deadline with late: discard, where no update is of an earlier "
                "round",
            )
        if conditions.loses_packets:
            raise self.contradiction(
                f"transport.kind: {conditions.transport}", f"one that loses no part of {whole}"
            )

    def begin(self, federation: Federation) -> AlgorithmState:
        """The algorithm at the beginning of a run."""
        return AlgorithmState()


@dataclass(frozen=True)
class NoCorrection(Algorithm):
    """Clients drift as they do."""

    name: ClassVar[str] = "none"


@dataclass
class ClientValues:
    """A value of the adapter's shape for every client, and at the server their mean over all.

    Attributes
    ----------
    federation
        Of the run.
    server
        The mean; zeros at first, as is every client's.
    own
        Client -> its value, for those whose value was ever changed.
    """

    federation: Federation
    server: Update = field(init=False)
    own: dict[int, Update] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = self._zeros()

    def of(self, client: int) -> Update:
        """A client's value."""
        return self.own.get(client) or self._zeros()

    def change(self, changes: Sequence[tuple[int, Update]]) -> None:
        """Add changes to clients' values, and to their mean.

        Parameters
        ----------
        changes
            Client, and its change; tensors that are missing stay.
        """
        whole = []
        for client, change in changes:
            own, full = self.of(client), self._zeros() | change
            self.own[client] = {name: own[name] + full[name] for name in own}
            whole.append(full)
        if whole:
            self.server = changed_mean(self.server, whole, self.federation.clients)

    def _zeros(self) -> Update:
        layout = self.federation.layout
        return {spec.name: np.zeros(spec.shape, np.float32) for spec in layout.tensors}


def changed_mean(mean: Update, changes: Sequence[Update], clients: int) -> Update:
    """The mean of all clients' values after some have changed: ``mean + 1/N sum of changes``.

    Parameters
    ----------
    mean
        Before.
    changes
        Of those clients that changed, at least one.
    clients
        ``N``: all clients, not those selected.

    Raises
    ------
    ValueError
        Fewer clients than changes, no change, or different layouts.
    """
    if clients < len(changes):
        raise ValueError(f"clients: found {clients}, allowed is {len(changes)} or more")
    step = fedavg(changes, denominator=float(clients))
    check_layouts([mean, step])
    return {name: values + step[name] for name, values in mean.items()}
