"""The tasks by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsim.choosing import choose
from fsim.learning.tasks.base import Task
from fsim.learning.tasks.code import Code
from fsim.learning.tasks.hub import Hub
from fsim.learning.tasks.jsonl import Jsonl
from fsim.learning.tasks.medical import Medical
from fsim.learning.tasks.multilingual import Multilingual

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (Medical, Multilingual, Code, Jsonl, Hub)
}


def make_task(name: str, options: Mapping[str, Any]) -> Task:
    """A task by name; see :func:`fsim.choosing.choose` for what is raised."""
    return choose("task", TASKS, name, options)
