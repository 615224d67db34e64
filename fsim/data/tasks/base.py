"""Base class of tasks, and the data that they hand to the learning rooms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict


@dataclass(frozen=True)
class Example:
    """One question and its answer.

    Attributes
    ----------
    context
        Text to read; the only part that is shortened where it is too long.
    question
        What follows the context, up to where the answer begins.
    answer
        The text to produce, its leading space included.
    label
        What a partition tells examples apart by, and what accuracy is reported for: an organ
        system, a language, a module.
    choices
        All answers that multiple choice picks from, the right one among them; empty for a task
        without choices.
    """

    context: str
    question: str
    answer: str
    label: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskData:
    """All examples of a task, in a fixed order.

    Attributes
    ----------
    skipped
        Items that the source holds and that could not be used, by reason.
    """

    train: tuple[Example, ...]
    test: tuple[Example, ...]
    skipped: tuple[tuple[str, int], ...] = ()


FileFinder = Callable[[str], Path]
"""A path as the scenario writes it -> the file; raises ``FsimError`` where there is none."""


class Task(ABC):
    """A task: a frozen dataclass whose fields are its options.

    Attributes
    ----------
    name
        As scenarios write it.
    metrics
        What it can be scored by, the usual one first (:mod:`fsim.data.answer_metrics`).
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]

    def sources(self, find: FileFinder) -> list[Path]:
        """The user's own files that the examples are read from; their contents enter the hash."""
        return []

    @abstractmethod
    def load(self, find: FileFinder) -> TaskData:
        """Read the examples. Nothing is downloaded.

        Raises
        ------
        ScenarioError
            A file that cannot be used, naming it and the place in it.
        """
