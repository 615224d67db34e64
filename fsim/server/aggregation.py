"""Combining clients' decoded updates into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fsim.vocabulary import Update


def fedavg(updates: Sequence[Update], weights: Sequence[float]) -> Update:
    """The weighted mean of updates, the denominator being the weights of those received.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
    AISTATS 2017, with the number of each client's examples as its weight.

    Parameters
    ----------
    updates
        At least one, all of the same layout; summed in float64 in the order given.
    weights
        Positive, one for each update.

    Raises
    ------
    ValueError
        No update, or not as many weights as updates.
    """
    if not updates or len(updates) != len(weights):
        raise ValueError(f"cannot average {len(updates)} updates with {len(weights)} weights")
    total = float(np.sum(weights))
    mean = {name: np.zeros(array.shape) for name, array in updates[0].items()}
    for update, weight in zip(updates, weights, strict=True):
        for name, sums in mean.items():
            sums += update[name].astype(np.float64) * (weight / total)
    return {name: sums.astype(np.float32) for name, sums in mean.items()}


def add(adapter: Update, step: Update) -> Update:
    """The adapter moved by a step."""
    return {name: adapter[name] + step[name] for name in adapter}
