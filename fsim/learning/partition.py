"""Dividing a task's training examples among clients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fsim.errors import ScenarioError

Shards = list[npt.NDArray[np.int64]]
"""For each client the indices of its examples, ascending."""


def iid(examples: int, clients: int, rng: np.random.Generator) -> Shards:
    """Every client a random share of equal size, to within one example."""
    return [np.sort(part) for part in np.array_split(rng.permutation(examples), clients)]


def dirichlet(
    labels: Sequence[str], clients: int, alpha: float, minimum: int, rng: np.random.Generator
) -> Shards:
    """Label skew: each label's examples are divided among the clients by a Dirichlet draw.

    Hsu, Qi and Brown 2019 in the per-label form of Li et al., "Federated Learning on Non-IID Data
    Silos", ICDE 2022. A client left with fewer than ``minimum`` examples is topped up, one at a
    time, from whoever holds most; the draw is not repeated, since at small ``alpha`` no draw
    leaves everyone with enough.

    Parameters
    ----------
    labels
        Of each example.
    clients
        How many shards.
    alpha
        Concentration, above 0: small is skewed, large is even.
    minimum
        Examples that every client has at least.

    Raises
    ------
    ScenarioError
        There are too few examples to give every client its minimum.
    """
    if clients * minimum > len(labels):
        raise ScenarioError(
            f"task.partition: {len(labels)} examples cannot give {clients} clients {minimum} each"
        )
    names = np.array(labels)
    owned: list[list[int]] = [[] for _ in range(clients)]
    for label in sorted(set(labels)):
        members = rng.permutation(np.flatnonzero(names == label))
        shares = rng.dirichlet(np.full(clients, alpha))
        cuts = np.round(np.cumsum(shares)[:-1] * len(members)).astype(int)
        for client, part in enumerate(np.split(members, cuts)):
            owned[client] += part.tolist()
    for poor in range(clients):
        while len(owned[poor]) < minimum:
            rich = max(range(clients), key=lambda client: len(owned[client]))
            owned[poor].append(owned[rich].pop())
    return [np.array(sorted(part), dtype=np.int64) for part in owned]
