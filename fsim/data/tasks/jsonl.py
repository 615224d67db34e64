"""Prompts and answers of one's own, from a file with one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fsim.core.documents import parse_json
from fsim.core.errors import ScenarioError
from fsim.data.held_out import is_held_out
from fsim.data.tasks.base import Example, FileFinder, Task, TaskData

ONE_LABEL = "all"
"""The label of every example of a data set whose examples have none."""


@dataclass(frozen=True)
class Jsonl(Task):
    """Prompt in, answer out, from a file with one JSON object a line.

    Attributes
    ----------
    path
        The file: here, or beside or above the scenario.
    prompt, answer
        The keys of the text to read and of the text to produce.
    question
        Text that follows every prompt, and is never shortened.
    label
        The key of what partitions go by and accuracy is reported for; without it every example
        has the label "all".
    test_path
        A file of test examples; without it a tenth of the lines is held out, by their prompts.
    """

    name: ClassVar[str] = "jsonl"
    metrics: ClassVar[tuple[str, ...]] = ("exact_match", "token_accuracy", "rouge_l")

    path: str
    prompt: str = "prompt"
    answer: str = "answer"
    question: str = ""
    label: str = ""
    test_path: str = ""

    def load(self, find: FileFinder) -> TaskData:
        """The examples in the order of the file; no prompt is in both training and test.

        Lines that ask what the test file asks are left out and counted.
        """
        source = find(self.path)
        train: list[Example] = []
        test: list[Example] = []
        skipped: tuple[tuple[str, int], ...] = ()
        if self.test_path:
            test += self._examples(find(self.test_path))
            test_keys = {_key(example) for example in test}
            repeated = 0
            for example in self._examples(source):
                if _key(example) in test_keys:
                    repeated += 1
                else:
                    train.append(example)
            if repeated:
                skipped = (("prompt is also in the test file", repeated),)
        else:
            for example in self._examples(source):
                (test if is_held_out(_key(example)) else train).append(example)
        if not test:
            raise ScenarioError(
                f"{source}: no test examples left, none of its {len(train)} prompts falls in the "
                "tenth that is held out; give test_path or more lines"
            )
        if not train:
            raise ScenarioError(
                f"{source}: no training examples left, all of its prompts are test prompts"
            )
        return TaskData(tuple(train), tuple(test), skipped)

    def sources(self, find: FileFinder) -> list[Path]:
        """The training file, and the test file where there is one."""
        return [find(path) for path in (self.path, self.test_path) if path]

    def _examples(self, path: Path) -> Iterator[Example]:
        number = 0
        for number, record in read_lines(path):
            place = f"{path}:{number}"
            prompt = _text(record, self.prompt, place)
            answer = _text(record, self.answer, place)
            label = _text(record, self.label, place) if self.label else ONE_LABEL
            yield Example(prompt, self.question, f" {answer.strip()}", label)
        if number == 0:
            raise ScenarioError(f"{path}: found no lines, allowed is one JSON object a line")


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file with one JSON object a line, each with its line number.

    One line is held at a time. Blank lines are passed over.

    Raises
    ------
    ScenarioError
        The file cannot be read, or a line is not a JSON object, naming the line.
    """
    try:
        with path.open("rb") as lines:  # bytes: text mode would decode far ahead of a bad line
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _object(line, f"{path}:{number}")
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror or error}") from None


def _object(line: bytes, place: str) -> dict[str, Any]:
    try:
        record = parse_json(line.decode("utf-8-sig"))
        if b"\\u" in line:
            # JSON can spell half of a surrogate pair, which no tokenizer and no hash accepts.
            json.dumps(record, ensure_ascii=False).encode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise ScenarioError(f"{place}: not UTF-8 text ({error.reason})") from None
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"{place}: not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ScenarioError(f"{place}: found {_kind(record)}, allowed is a JSON object")
    return record


def _text(record: dict[str, Any], key: str, place: str) -> str:
    if key not in record:
        raise ScenarioError(f"{place}: no key {key!r}, found {', '.join(record) or 'none'}")
    value = record[key]
    if not isinstance(value, str):
        raise ScenarioError(f"{place}: {key}: found {_kind(value)}, allowed is a string")
    if not value.strip():
        raise ScenarioError(f"{place}: {key}: found an empty string, allowed is text")
    return value


def _kind(value: object) -> str:
    """JSON's word for the kind of a value."""
    if value is None:
        return "null"
    kinds = {bool: "a truth value", str: "a string", list: "an array", dict: "an object"}
    return kinds.get(type(value), "a number")


def _key(example: Example) -> str:
    """Key that an example is held out by: the question alone would be the same for all."""
    return example.context.strip()
