"""The tasks by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsim.core.registry import Registry
from fsim.data.tasks.base import Task
from fsim.data.tasks.code import Code
from fsim.data.tasks.hub import Hub
from fsim.data.tasks.jsonl import Jsonl
from fsim.data.tasks.medical import Medical
from fsim.data.tasks.multilingual import Multilingual

TASKS: Registry[Task] = Registry(
    "task",
    Task,
    "fsim.data.tasks.Task",
    (Medical, Multilingual, Code, Jsonl, Hub),
    defaults=False,
)
"""Name -> task."""


def make_task(name: str, options: Mapping[str, Any]) -> Task:
    """A task by name; see :func:`fsim.core.registry.choose` for what is raised."""
    return TASKS.make(name, options)
