"""Long prompts out of a task's short ones: the passage that is asked about among unrelated ones.

A prompt is a list of passages, each a context of the task on a line of its own, and then the task's
own question::

    Other: An abnormally increased number of platelets.
    Asked: Multicystic dysplasia of the kidney is characterized by ...
    Other: ...

    Organ system:

One passage is headed ``Asked:``; it stands anywhere. The others are contexts of training examples,
drawn anew for each prompt: as like to the one asked about as any text can be, each the passage of
another question, and of no use here. A model has to find the right one and to understand it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fsim.core.errors import ScenarioError
from fsim.core.rng import stream
from fsim.data.encoding import Encoded, encode_examples
from fsim.data.tasks import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ASKED_LABEL, OTHER_LABEL = "Asked:", "Other:"

PATIENCE = 8
"""Draws that do not fit, after which a prompt is long enough."""


class PassageWriter:
    """Writes long prompts.

    Parameters
    ----------
    tokenizer
        Of the model that will read them.
    unrelated
        Training examples, whose contexts the other passages are.
    length
        Tokens that a prompt has at most; most have nearly as many.
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
        unrelated: Sequence[Example],
        length: int,
        seed: int,
    ) -> None:
        if not unrelated:
            raise ScenarioError("task: found no training examples, allowed is one or more")
        self._tokenizer = tokenizer
        self._begin = 0 if tokenizer.bos_token_id is None else 1
        self._contexts = list(dict.fromkeys(example.context for example in unrelated))
        self._sizes = self._counts([_passage(OTHER_LABEL, context) for context in self._contexts])
        self._examples = unrelated
        self._length = length
        self._seed = seed

    def tests(self, examples: Sequence[Example]) -> list[Example]:
        """A long prompt about each of these examples, as an example with a long context.

        Raises
        ------
        ScenarioError
            A passage and its question alone are longer than a prompt may be.
        """
        prompts = []
        for number, example in enumerate(examples):
            rng = stream(self._seed, "inference.test", number)
            room = self._length - self._own(example)
            if room < 0:
                raise ScenarioError(
                    f"prompt tokens: found {self._length}, test example {number + 1} alone takes "
                    f"{self._length - room}"
                )
            prompts.append(self._write(rng, example, room))
        return prompts

    def training(self, count: int, *, full: bool = False) -> list[Encoded]:
        """Training prompts and their answers; examples that are too long alone are passed over.

        Parameters
        ----------
        count
            How many.
        full
            Whether all have full length, or any, from one passage alone: the room for others is
            then the square of a uniform draw times the length. Most of what there is to learn is
            learned from short prompts, at a fraction of the cost.
        """
        prompts: list[Example] = []
        number = 0
        while len(prompts) < count:
            rng = stream(self._seed, "inference.training", int(full), number)
            number += 1
            example = self._examples[int(rng.integers(len(self._examples)))]
            own = self._own(example)
            if own <= self._length:
                share = 1.0 if full else rng.random() ** 2
                room = min(int(self._length * share), self._length - own)
                prompts.append(self._write(rng, example, room))
            elif number > 100 * count:
                raise ScenarioError(
                    f"prompt tokens: found {self._length}, too few for the task's examples"
                )
        return self.encode(prompts)

    def encode(self, examples: Sequence[Example]) -> list[Encoded]:
        """Long prompts as token ids, whole."""
        rows = encode_examples(self._tokenizer, examples, self._length)
        if any(row.truncated for row in rows):
            raise RuntimeError("a prompt is longer than its passages")
        return rows

    def _write(self, rng: np.random.Generator, example: Example, room: int) -> Example:
        others = [
            _passage(OTHER_LABEL, context) for context in self._draw(rng, room, example.context)
        ]
        others.insert(int(rng.integers(len(others) + 1)), _passage(ASKED_LABEL, example.context))
        return replace(example, context="".join(others))

    def _draw(self, rng: np.random.Generator, room: int, without: str) -> Iterator[str]:
        """Contexts that fit into the room, none twice, until hardly another one would."""
        contexts = {without}
        misses = 0
        while misses < PATIENCE:
            at = int(rng.integers(len(self._contexts)))
            context, size = self._contexts[at], self._sizes[at]
            if size > room or context in contexts:
                misses += 1
                continue
            room -= size
            contexts.add(context)
            yield context

    def _own(self, example: Example) -> int:
        """Tokens of a prompt that has no other passage."""
        parts = self._counts([_passage(ASKED_LABEL, example.context), example.question])
        return self._begin + sum(parts)

    def _counts(self, texts: list[str]) -> list[int]:
        encoded: Any = self._tokenizer(texts, add_special_tokens=False)
        return [len(ids) for ids in encoded["input_ids"]]


def _passage(head: str, context: str) -> str:
    return f"{head} {context}\n"
