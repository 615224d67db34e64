"""The effects of a scenario's keys on a run, said beside each key.

A mark stands in a key's annotation and holds for all keys below it that have none of their own. A
key without any may change what is trained: a new one is taken for that until it says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from fsim.core.validation import Settings

Effects = frozenset["Effect"]


class Effect(Enum):
    """An effect that a key can have.

    Attributes
    ----------
    TASK
        The model and everyone's data, as they are made ready before a run
        (:func:`fsim.simulation.build.prepare_task`).
    TIME
        How long things take: what is trained only where that decides who takes part in what.
    REPORT
        What is measured and told of a run, not what is trained.
    """

    TASK = auto()
    TIME = auto()
    REPORT = auto()


def keys_with(settings: Settings, condition: Callable[[Effects], bool]) -> dict[str, Any]:
    """The keys whose effects are wanted, and their values, nested, as JSON has them."""
    return _keys_with(settings, settings.model_dump(mode="json"), condition, frozenset())


def _keys_with(
    settings: Settings,
    data: dict[str, Any],
    condition: Callable[[Effects], bool],
    above: Effects,
) -> dict[str, Any]:
    keys = {}
    for key, value in data.items():
        field = type(settings).model_fields.get(key)  # None for an option of what a section names
        marks = field.metadata if field is not None else ()
        effects = frozenset(mark for mark in marks if isinstance(mark, Effect)) or above
        below = getattr(settings, key, None) if field is not None else None
        if isinstance(below, Settings):
            if inside := _keys_with(below, value, condition, effects):
                keys[key] = inside
        elif condition(effects):
            keys[key] = value
    return keys
