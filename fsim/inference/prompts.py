"""Long prompts out of a task's short ones: many passages, and a question about one of them.

A prompt is a list of passages, each under a person's name, and then one name and the task's own
question::

    Anna: Multicystic dysplasia of the kidney is characterized by ...
    Boris: An abnormally increased number of ...
    ...

    Boris
    Organ system:

The names are drawn anew for every prompt, so that they say nothing about the answer, and the
passage that is asked about stands anywhere. A model has to find it and to understand it; all other
passages are for nothing, but which they are is not known before the question is read.

A test prompt asks about a held-out example; the others in it are training examples. A training
sequence asks about all of its passages in turn, so that a context that costs hundreds of tokens to
read gives more than one answer to learn from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fsim.errors import ScenarioError
from fsim.learning.encoding import Encoded
from fsim.learning.tasks import Example
from fsim.streams import stream

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NAMES = (
    "Adam", "Alice", "Amir", "Anna", "Ben", "Boris", "Carl", "Carmen", "Clara", "Daniel", "David",
    "Diana", "Elena", "Emma", "Eric", "Eva", "Felix", "Fiona", "Frank", "Fred", "George", "Grace",
    "Hanna", "Harry", "Helen", "Henry", "Ian", "Ida", "Ivan", "Jack", "James", "Jane", "John",
    "Julia", "Karen", "Kate", "Kevin", "Laura", "Leo", "Linda", "Louis", "Lucy", "Maria", "Mark",
    "Martin", "Max", "Maya", "Nina", "Noah", "Nora", "Olga", "Oscar", "Paul", "Peter", "Rachel",
    "Robert", "Rosa", "Ruth", "Sam", "Sara", "Simon", "Sofia", "Thomas", "Victor",
)  # fmt: skip
"""What passages are told apart by; a prompt has at most as many passages."""

PATIENCE = 8
"""Draws in a row that do not fit, after which a prompt is long enough."""


class PassageWriter:
    """Writes prompts of about one length.

    Parameters
    ----------
    tokenizer
        Of the model that will read them.
    examples
        Training examples: what training sequences are made of, and the unrelated passages.
    length
        Tokens that a test prompt has at most, and a training sequence's passages.
    seed
        Of what is drawn.

    Raises
    ------
    ScenarioError
        No examples.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[Example],
        length: int,
        seed: int,
    ) -> None:
        if not examples:
            raise ScenarioError("task: found no training examples, allowed is one or more")
        self._tokenizer = tokenizer
        self._begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        self._examples = examples
        self._length = length
        self._seed = seed
        self._longest_name = max(self._tokens(name) for name in NAMES)
        self._sizes = [self._size(example) for example in examples]

    def tests(self, examples: Sequence[Example]) -> list[Example]:
        """A long prompt about each of these examples, as an example whose context is long.

        Raises
        ------
        ScenarioError
            A passage and its question alone are longer than a prompt may be.
        """
        return [self._test(number, example) for number, example in enumerate(examples)]

    def training(self, count: int) -> list[Encoded]:
        """Sequences that ask about all of their passages; scored is all that follows these."""
        return [self._training(number) for number in range(count)]

    def _test(self, number: int, example: Example) -> Example:
        rng = stream(self._seed, "inference.test", number)
        names = _names(rng)
        question = _ask(names[0], example)
        asked = self._tokens(question) + len(self._begin)
        room = self._length - asked - self._size(example)
        if room < 0:
            raise ScenarioError(
                f"prompt tokens: found {self._length}, test example {number + 1} alone takes "
                f"{self._length - room}"
            )
        passages = [example, *self._draw(rng, room, example.context)]
        order = rng.permutation(len(passages))
        context = "".join(_passage(names[at], passages[at]) for at in order)
        return replace(example, context=context, question=question)

    def _training(self, number: int) -> Encoded:
        rng = stream(self._seed, "inference.training", number)
        names = _names(rng)
        passages = list(self._draw(rng, self._length, None))
        if not passages:
            raise ScenarioError(
                f"prompt tokens: found {self._length}, too few for a training passage"
            )
        context = "".join(map(_passage, names, passages))
        end = self._tokenizer.eos_token_id
        told: list[int] = []
        for at in rng.permutation(len(passages)):
            question, answer = _ask(names[at], passages[at]), passages[at].answer
            told += [*self._ids(question), *self._ids(answer), end]
        return Encoded((*self._begin, *self._ids(context), *told), len(told), truncated=False)

    def _draw(self, rng: np.random.Generator, room: int, without: str | None) -> Iterator[Example]:
        """Training examples of different contexts, until hardly any other would fit."""
        seen = {without}
        missed = 0
        while missed < PATIENCE and len(seen) < len(NAMES):
            at = int(rng.integers(len(self._examples)))
            example, size = self._examples[at], self._sizes[at]
            if size > room or example.context in seen:
                missed += 1
                continue
            room -= size
            seen.add(example.context)
            yield example

    def _size(self, example: Example) -> int:
        """Tokens of a passage under the longest of names."""
        return self._tokens(_passage("", example)) + self._longest_name

    def _tokens(self, text: str) -> int:
        return len(self._ids(text))

    def _ids(self, text: str) -> list[int]:
        encoded: Any = self._tokenizer(text, add_special_tokens=False)
        ids: list[int] = encoded["input_ids"]
        return ids


def _names(rng: np.random.Generator) -> list[str]:
    return [NAMES[at] for at in rng.permutation(len(NAMES))]


def _passage(name: str, example: Example) -> str:
    return f"{name}: {example.context}\n"


def _ask(name: str, example: Example) -> str:
    return f"\n{name}{example.question}"
