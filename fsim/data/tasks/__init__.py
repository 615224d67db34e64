"""Tasks: what the clients learn, one module a task."""

from fsim.data.tasks.base import Example, FileFinder, Task, TaskData
from fsim.data.tasks.registry import TASKS, make_task

__all__ = ["TASKS", "Example", "FileFinder", "Task", "TaskData", "make_task"]
