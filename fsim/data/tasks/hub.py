"""Any data set of the Hugging Face hub, or a local folder of the same shape, by templates.

A folder needs nothing beside fsim; a name needs the ``datasets`` package, which asks its own cache
and then the hub.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from fsim.core.errors import ScenarioError
from fsim.data.held_out import is_held_out
from fsim.data.tasks.base import Example, FileFinder, Task, TaskData
from fsim.data.tasks.jsonl import ONE_LABEL
from fsim.data.tasks.table_files import (
    Rows,
    file_rows,
    hub_rows,
    local_path,
    split_files,
    subset_folder,
)
from fsim.data.tasks.templates import Column, Template


@dataclass(frozen=True)
class Recipe:
    """Recipe by which rows become examples.

    Attributes
    ----------
    dataset, subset
        What is read unless a scenario says otherwise.
    context, question, answer
        Templates.
    label
        A field, or empty.
    choices
        All answers there are, without their leading space; empty for free answers.
    languages
        Values of ``label`` -> the names they get; rows of any other value are left out. Empty for
        all values as they are.
    """

    dataset: str
    context: str
    question: str
    answer: str
    subset: str = ""
    label: str = ""
    choices: tuple[str, ...] = ()
    languages: Mapping[str, str] = field(default_factory=dict)


PRESETS: dict[str, Recipe] = {
    # The question goes before the abstract: what is too long is shortened from its end.
    "pubmedqa": Recipe(
        dataset="qiaojin/PubMedQA",
        subset="pqa_labeled",
        context="{question}\n{context[contexts]}",
        question="\nAnswer:",
        answer="{final_decision}",
        label="final_decision",
        choices=("yes", "no", "maybe"),
    ),
    # By code, not by the column of names, which tells two scripts of Chinese apart.
    "aya": Recipe(
        dataset="CohereLabs/aya_dataset",
        context="{inputs}",
        question="\nAnswer:",
        answer="{targets}",
        label="language_code",
        languages={
            "arb": "Arabic",
            "eng": "English",
            "spa": "Spanish",
            "fra": "French",
            "por": "Portuguese",
            "rus": "Russian",
            "tel": "Telugu",
            "zho": "Chinese",
        },
    ),
    "codealpaca": Recipe(
        dataset="sahil2801/CodeAlpaca-20k",
        context="{instruction}\n{input}",
        question="\nOutput:",
        answer="{output}",
    ),
}
"""Ready recipes by name."""


@dataclass(frozen=True)
class Hub(Task):
    """A Hugging Face data set, or a local folder of parquet, jsonl, json or csv files.

    Templates hold ``{column}``, ``{column[key]}`` or ``{column.key}`` for what is inside a nested
    column, and ``{column[0]}`` for an item of a list; a whole list is written one item a line.

    Attributes
    ----------
    dataset
        Its name (``owner/name``), a local folder, or a local file.
    subset
        The data set's configuration; of a local folder, the folder of that name in it.
    split, test_split
        What is trained and tested on; without ``test_split`` a tenth of ``split`` is held out, by
        the columns that the prompt is made from.
    context, question, answer
        Templates; only the context is shortened where it is too long.
    label
        The column that partitions go by and accuracy is reported for; without it every example
        has the label "all".
    choices
        All answers there are, where there are few: for multiple choice.
    max_examples
        Keep a random sample of this many of each split, the same one on every machine; 0 for all.
    preset
        ``pubmedqa``, ``aya`` or ``codealpaca``: sets everything but the splits and the sample;
        ``dataset`` and ``subset`` may say where to read it from.
    """

    name: ClassVar[str] = "hub"
    metrics: ClassVar[tuple[str, ...]] = (
        "exact_match",
        "token_accuracy",
        "rouge_l",
        "multiple_choice",
    )

    dataset: str = ""
    subset: str = ""
    split: str = "train"
    test_split: str = ""
    context: str = ""
    question: str = ""
    answer: str = ""
    label: str = ""
    choices: tuple[str, ...] = ()
    max_examples: int = 0
    preset: str = ""

    def __post_init__(self) -> None:
        if self.preset:
            if self.preset not in PRESETS:
                raise ValueError(f"preset: found {self.preset!r}, allowed are {', '.join(PRESETS)}")
            for key in ("context", "question", "answer", "label", "choices"):
                if getattr(self, key):
                    raise ValueError(f"{key}: found it beside preset {self.preset}, which sets it")
        elif not self.dataset:
            raise ValueError(f"dataset: is missing, or a preset of {', '.join(PRESETS)}")
        if not self.split or self.split == self.test_split:
            raise ValueError(
                f"split, test_split: found {self.split!r} and {self.test_split!r}, allowed are two "
                "different ones"
            )
        if self.max_examples < 0:
            raise ValueError(f"max_examples: found {self.max_examples}, allowed is 0 or more")
        choices = [choice.strip() for choice in self.choices]
        if choices and (len(set(choices)) < len(choices) or len(choices) < 2 or "" in choices):
            raise ValueError(f"choices: found {choices}, allowed are two or more different texts")
        _Maker(self._recipe())

    def _recipe(self) -> Recipe:
        if self.preset:
            return PRESETS[self.preset]
        return Recipe(
            dataset=self.dataset,
            subset=self.subset,
            context=self.context,
            question=self.question,
            answer=self.answer,
            label=self.label,
            choices=self.choices,
        )

    def load(self, find: FileFinder) -> TaskData:
        """The examples in the order of the data set; no prompt is in both training and test.

        A data set by name that is not in the cache of ``datasets`` is asked of the hub; nothing
        else is ever downloaded.
        """
        recipe = self._recipe()
        maker = _Maker(recipe)
        dataset = self.dataset or recipe.dataset
        train = self._split(maker, self.split, find)
        if self.test_split:
            test = self._split(maker, self.test_split, find)
            test_keys = {key for key, _ in test}
            train_items = [item for item in train if item[0] not in test_keys]
            if len(train_items) < len(train):
                maker.skipped["prompt is also a test prompt"] += len(train) - len(train_items)
        else:
            test = [item for item in train if is_held_out(item[0])]
            train_items = [item for item in train if not is_held_out(item[0])]
        if not (train_items and test):
            reasons = ", ".join(f"{reason}: {n}" for reason, n in sorted(maker.skipped.items()))
            raise ScenarioError(
                f"task.dataset: {dataset}: found {len(train_items)} training and {len(test)} test "
                f"examples that can be used, at least 1 of each is needed "
                f"(left out: {reasons or 'none'})"
            )
        return TaskData(
            tuple(example for _, example in train_items),
            tuple(example for _, example in test),
            tuple(sorted(maker.skipped.items())),
        )

    def sources(self, find: FileFinder) -> list[Path]:
        """The local files, none for a name on the hub."""
        local = local_path(self.dataset or self._recipe().dataset, find)
        if local is None:
            return []
        return [local] if local.is_file() else sorted(p for p in local.rglob("*") if p.is_file())

    def _split(self, maker: _Maker, split: str, find: FileFinder) -> list[tuple[str, Example]]:
        """The usable examples of a split after their keys, sampled."""
        examples = maker.examples(self._rows(maker, split, find))
        if not self.max_examples:
            return list(examples)
        # Those of the smallest hashes: a uniform sample of distinct prompts in one pass, that rows
        # added or put in another order change no more than they must.
        ranked = ((_rank(key), n, key, example) for n, (key, example) in enumerate(examples))
        smallest = heapq.nsmallest(self.max_examples, ranked, key=lambda item: item[:2])
        return [(key, example) for _, _, key, example in sorted(smallest, key=lambda i: i[1])]

    def _rows(self, maker: _Maker, split: str, find: FileFinder) -> Rows:
        recipe = self._recipe()
        dataset = self.dataset or recipe.dataset
        local = local_path(dataset, find)
        if local is None:
            yield from hub_rows(dataset, self.subset or recipe.subset, split, maker.names)
            return
        if local.is_file() and self.test_split:
            raise ScenarioError(f"{local}: test_split: found {self.test_split!r}, a file has none")
        paths = [local]
        if local.is_dir():
            paths = split_files(subset_folder(local, self.subset, recipe.subset), split)
        for path in paths:
            yield from file_rows(path, maker.names)


class _Maker:
    """Makes examples of rows by a recipe, and counts those that cannot be used."""

    def __init__(self, recipe: Recipe) -> None:
        self.skipped = Counter[str]()
        self._languages = recipe.languages
        self._choices = tuple(f" {choice.strip()}" for choice in recipe.choices)
        self._context = Template(recipe.context, "context")
        self._question = Template(recipe.question, "question")
        self._answer = Template(recipe.answer, "answer")
        self._label = None if recipe.label == "" else Column(recipe.label, "label")
        columns = {**self._context.columns, **self._question.columns}
        if not columns:
            raise ValueError("context, question: found no {column} in either of them")
        if not self._answer.columns:
            raise ValueError(f"answer: found no {{column}} in {recipe.answer!r}")
        self._prompt_columns = [columns[name] for name in sorted(columns)]
        used = [*self._prompt_columns, *self._answer.columns.values()]
        used += [] if self._label is None else [self._label]
        self.names = sorted({column.steps[0] for column in used})

    def examples(self, rows: Rows) -> Iterator[tuple[str, Example]]:
        """Every usable example after the key that it is held out by.

        The key is made of the columns alone, so that another wording of the templates is tested on
        the same items.
        """
        for place, row in rows:
            key = "\n".join(column.text(row, place) for column in self._prompt_columns).strip()
            answer = f" {self._answer.fill(row, place).strip()}"
            label = ONE_LABEL if self._label is None else self._label.text(row, place).strip()
            reason = self._unusable(key, answer, label)
            if reason is not None:
                self.skipped[reason] += 1
                continue
            yield (
                key,
                Example(
                    self._context.fill(row, place).strip(),
                    self._question.fill(row, place),
                    answer,
                    self._languages.get(label, label),
                    self._choices,
                ),
            )

    def _unusable(self, key: str, answer: str, label: str) -> str | None:
        if self._languages and label not in self._languages:
            return "other language"
        if not key:
            return "empty prompt"
        if answer == " ":
            return "empty answer"
        if self._choices and answer not in self._choices:
            return "answer is none of the choices"
        if not label:
            return "empty label"
        return None


def _rank(key: str) -> bytes:
    # Not the hash that holds items out, or a small sample would be held out whole.
    return hashlib.sha256(b"sample\0" + key.encode("utf-8")).digest()
