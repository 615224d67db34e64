"""Choosing which clients take part in a round. One module a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsim.core.registry import Registry
from fsim.server.selection.base import Selector
from fsim.server.selection.data_size import DataSize
from fsim.server.selection.fastest import Fastest
from fsim.server.selection.oort import Oort
from fsim.server.selection.power_of_choice import PowerOfChoice
from fsim.server.selection.round_robin import RoundRobin
from fsim.server.selection.uniform import Uniform, uniform

SELECTORS: Registry[Selector] = Registry(
    "selection",
    Selector,
    "fsim.server.selection.Selector",
    (Uniform, DataSize, RoundRobin, Fastest, PowerOfChoice, Oort),
    frozen=False,
)
"""Name -> rule."""


def make_selector(name: str, options: Mapping[str, Any]) -> Selector:
    """A new selector by name; see :func:`fsim.core.registry.choose` for what is raised."""
    return SELECTORS.make(name, options)


__all__ = ["SELECTORS", "Selector", "make_selector", "uniform"]
