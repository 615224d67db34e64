"""Choosing which clients take part in a round."""

from __future__ import annotations

import numpy as np


def uniform(clients: int, count: int, rng: np.random.Generator) -> list[int]:
    """``count`` different clients, each equally likely, in ascending order."""
    return sorted(rng.choice(clients, size=count, replace=False).tolist())
