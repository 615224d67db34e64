"""Algorithms with two sides, at the server and on clients: one module an algorithm.

A scenario chooses one by ``server.correction``. FedProx is not among them: it has a client's side
alone, a term of the local loss that is clipped with it, and is ``training.proximal``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsim.algorithms.base import Algorithm, NoCorrection
from fsim.algorithms.feddyn import FedDyn
from fsim.algorithms.fednova import FedNova
from fsim.algorithms.scaffold import Scaffold
from fsim.core.registry import Registry

ALGORITHMS: Registry[Algorithm] = Registry(
    "correction",
    Algorithm,
    "fsim.algorithms.Algorithm",
    (NoCorrection, Scaffold, FedNova, FedDyn),
)
"""Name -> algorithm."""


def make_algorithm(name: str, options: Mapping[str, Any]) -> Algorithm:
    """An algorithm by name; see :func:`fsim.core.registry.choose` for what is raised."""
    return ALGORITHMS.make(name, options)


__all__ = ["ALGORITHMS", "Algorithm", "make_algorithm"]
