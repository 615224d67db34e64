"""Tasks: what the clients learn, one module a task.

A task is a function without arguments that returns its :class:`TaskData`; adding one takes a module
and a line in :data:`TASKS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fsim.learning.tasks import medical
from fsim.learning.tasks.base import Example, TaskData


@dataclass(frozen=True)
class Task:
    """A task as the registry lists it."""

    name: str
    summary: str
    load: Callable[[], TaskData]


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "medical",
            "definition of a phenotype in, organ system out (Human Phenotype Ontology)",
            medical.load,
        ),
    )
}

__all__ = ["TASKS", "Example", "Task", "TaskData"]
