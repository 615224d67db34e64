"""What a task hands to the learning room."""

from __future__ import annotations

from dataclasses import dataclass


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
        What a partition tells examples apart by.
    """

    context: str
    question: str
    answer: str
    label: str


@dataclass(frozen=True)
class TaskData:
    """All examples of a task, in a fixed order."""

    train: tuple[Example, ...]
    test: tuple[Example, ...]
