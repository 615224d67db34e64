"""Dividing a task's training examples among clients.

Every partitioner takes the examples' labels (or, where labels do not matter, how many examples
there are), the number of clients, what is its own, the examples that every client has at least, and
a random generator. Each example goes to one client; only :func:`natural` leaves any out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fsim.core.errors import ScenarioError

Shards = list[npt.NDArray[np.int64]]
"""For each client the indices of its examples, ascending."""


def iid(examples: int, clients: int, minimum: int, rng: np.random.Generator) -> Shards:
    """Every client a random share of equal size, to within one example.

    Raises
    ------
    ScenarioError
        There are too few examples to give every client its minimum.
    """
    _check(examples, clients, minimum)
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
    _check(len(labels), clients, minimum)
    names = np.array(labels)
    owned: list[list[int]] = [[] for _ in range(clients)]
    for label in sorted(set(labels)):
        members = rng.permutation(np.flatnonzero(names == label))
        for client, part in enumerate(_cut(members, clients, alpha, rng)):
            owned[client] += part.tolist()
    return _topped_up(owned, minimum)


def quantity(
    examples: int, clients: int, alpha: float, minimum: int, rng: np.random.Generator
) -> Shards:
    """Quantity skew: sizes by one Dirichlet draw over the clients, contents at random.

    The quantity skew of Li et al., ICDE 2022; topped up as :func:`dirichlet` is.

    Raises
    ------
    ScenarioError
        There are too few examples to give every client its minimum.
    """
    _check(examples, clients, minimum)
    shares = _cut(rng.permutation(examples), clients, alpha, rng)
    return _topped_up([part.tolist() for part in shares], minimum)


def one_label(
    labels: Sequence[str], clients: int, minimum: int, rng: np.random.Generator
) -> Shards:
    """Labels dealt to the clients in turn, the commonest first.

    With more clients than labels, each client has one label, and those who share one divide its
    examples evenly at random; with more labels than clients, a client has several. A client whose
    label is too rare is topped up to ``minimum`` as in :func:`dirichlet`, and then has more labels
    than it was dealt.

    Raises
    ------
    ScenarioError
        There are too few examples to give every client its minimum.
    """
    _check(len(labels), clients, minimum)
    names = np.array(labels)
    order = _by_size(labels)
    owned: list[list[int]] = [[] for _ in range(clients)]
    for turn, label in enumerate(order):
        sharing = range(turn, clients, len(order)) or (turn % clients,)
        members = rng.permutation(np.flatnonzero(names == label))
        for client, part in zip(sharing, np.array_split(members, len(sharing)), strict=True):
            owned[client] += part.tolist()
    return _topped_up(owned, minimum)


def natural(
    labels: Sequence[str], clients: int, minimum: int, rng: np.random.Generator
) -> tuple[Shards, npt.NDArray[np.int64]]:
    """A client for each label, the largest labels first, and the examples of all other labels.

    For labels that are who wrote an example or where it is from. Nothing is drawn and nobody is
    topped up, which would mix what is kept apart; ``rng`` is taken for the sake of the others.

    Returns
    -------
    tuple
        The shards, and the indices left out, ascending: those of the smallest labels where there
        are more labels than clients.

    Raises
    ------
    ScenarioError
        There are fewer labels than clients, or a label to be kept has fewer than ``minimum``
        examples.
    """
    order = _by_size(labels)
    if len(order) < clients:
        raise ScenarioError(
            f"task.partition: natural gives each client a label of its own, found {clients} "
            f"clients and {len(order)} labels, allowed are at most as many clients as labels"
        )
    names = np.array(labels)
    shards = [np.flatnonzero(names == label) for label in order[:clients]]
    if len(shards[-1]) < minimum:
        raise ScenarioError(
            f"task.partition: natural: label {order[clients - 1]!r} has {len(shards[-1])} "
            f"examples, allowed are {minimum} or more; take fewer clients or a smaller minimum"
        )
    return shards, np.flatnonzero(np.isin(names, order[clients:]))


@dataclass(frozen=True)
class Statistics:
    """Figures of how uneven a partition is.

    Attributes
    ----------
    smallest, median, largest
        Examples of a client.
    commonest_share
        Share of a client's commonest label among its examples, mean over clients; 1 where everyone
        has a single label.
    distance
        Total-variation distance between a client's labels and those of all clients together, mean
        over clients: 0 where all are alike, near 1 where nothing is shared.
    """

    smallest: int
    median: float
    largest: int
    commonest_share: float
    distance: float


def statistics(shards: Shards, labels: Sequence[str]) -> Statistics:
    """Measure a partition; clients without examples count only in the sizes."""
    counts = label_counts(shards, labels).to_numpy()
    sizes = counts.sum(axis=1)
    overall = counts.sum(axis=0) / sizes.sum()
    shares = counts[sizes > 0] / sizes[sizes > 0, None]
    return Statistics(
        smallest=int(sizes.min()),
        median=float(np.median(sizes)),
        largest=int(sizes.max()),
        commonest_share=float(shares.max(axis=1).mean()),
        distance=float(np.abs(shares - overall).sum(axis=1).mean() / 2),
    )


def label_counts(shards: Shards, labels: Sequence[str]) -> pd.DataFrame:
    """Count the examples of each label (columns, by name) that each client (rows) has."""
    names, codes = np.unique(np.array(labels), return_inverse=True)
    counts = [np.bincount(codes[shard], minlength=len(names)) for shard in shards]
    return pd.DataFrame(
        np.array(counts), index=pd.RangeIndex(len(shards), name="client"), columns=names.tolist()
    )


def _check(examples: int, clients: int, minimum: int) -> None:
    if clients * minimum > examples:
        raise ScenarioError(
            f"task.partition: {examples} examples cannot give {clients} clients {minimum} each"
        )


def _by_size(labels: Sequence[str]) -> list[str]:
    """The distinct labels, the commonest first, equally common ones by name."""
    counts = Counter(labels)
    return sorted(counts, key=lambda label: (-counts[label], label))


def _cut(
    members: npt.NDArray[np.int64], clients: int, alpha: float, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Consecutive parts whose shares are a Dirichlet draw."""
    shares = rng.dirichlet(np.full(clients, alpha))
    cuts = np.round(np.cumsum(shares)[:-1] * len(members)).astype(int)
    return np.split(members, cuts)


def _topped_up(owned: list[list[int]], minimum: int) -> Shards:
    """Examples handed, one at a time, from whoever holds most to those below the minimum."""
    for poor in range(len(owned)):
        while len(owned[poor]) < minimum:
            rich = max(range(len(owned)), key=lambda client: len(owned[client]))
            owned[poor].append(owned[rich].pop())
    return [np.array(sorted(part), dtype=np.int64) for part in owned]
