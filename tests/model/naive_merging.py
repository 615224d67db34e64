"""Token merging as its paper tells it, a token at a time: what the tensors are checked against."""

import math

import numpy as np


def naive_matching(keys, mergeable, merges):
    """Which tokens of one row come together, as lists of places in order of the last of each.

    Parameters
    ----------
    keys
        (tokens, width).
    mergeable
        Places, in order.
    merges
        How many tokens fewer there are to be.
    """
    first, second = mergeable[::2], mergeable[1::2]

    def cosine(one, other):
        a, b = keys[one].astype(float), keys[other].astype(float)
        norms = math.sqrt(a @ a) * math.sqrt(b @ b)
        return float(a @ b) / norms if norms else 0.0

    edges = []
    for place in first:
        if second:
            likeness = [cosine(place, other) for other in second]
            best = int(np.argmax(likeness))
            edges.append((-likeness[best], place, second[best]))
    goes_to = {place: other for _, place, other in sorted(edges)[:merges]}
    groups = {}
    for place in range(len(keys)):
        groups.setdefault(goes_to.get(place, place), []).append(place)
    return sorted(groups.values(), key=max)


def naive_merge(values, sizes, groups):
    """The mean of each group's values, weighted by size, and its size."""
    means = [sum(sizes[i] * values[i] for i in g) / sum(sizes[i] for i in g) for g in groups]
    return np.array(means), np.array([sum(sizes[i] for i in g) for g in groups])
