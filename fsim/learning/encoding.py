"""Examples as token ids, and batches of them as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from fsim.errors import ScenarioError
from fsim.learning.tasks import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NOT_SCORED = -100
"""Target of a position that carries no loss (PyTorch's own convention)."""


@dataclass(frozen=True)
class Encoded:
    """One example as token ids.

    Attributes
    ----------
    ids
        Prompt, answer, end mark.
    scored
        How many of the last ids are to be predicted: the answer's and the end mark.
    truncated
        Whether the context was shortened.
    """

    ids: tuple[int, ...]
    scored: int
    truncated: bool


def encode_examples(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], max_prompt_tokens: int
) -> list[Encoded]:
    """Tokenise examples, shortening contexts from their end to fit.

    Raises
    ------
    ScenarioError
        A question alone is longer than ``max_prompt_tokens`` allows.
    """

    def ids(texts: list[str]) -> list[list[int]]:
        encoded: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
        return encoded

    if not examples:
        return []
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    end = [tokenizer.eos_token_id]
    contexts = ids([example.context for example in examples])
    questions = ids([example.question for example in examples])
    answers = ids([example.answer for example in examples])
    result = []
    for context, question, answer in zip(contexts, questions, answers, strict=True):
        room = max_prompt_tokens - len(begin) - len(question)
        if room < 1:
            raise ScenarioError(
                f"task.max_prompt_tokens: found {max_prompt_tokens}, the question alone takes "
                f"{len(question)} tokens"
            )
        row = (*begin, *context[:room], *question, *answer, *end)
        result.append(Encoded(row, len(answer) + len(end), len(context) > room))
    return result


@dataclass(frozen=True)
class Batch:
    """Sequences side by side, aligned at their ends.

    Left padding puts every row's scored positions among the last columns, so that logits are
    computed there and nowhere else.

    Attributes
    ----------
    ids, mask, positions
        Token ids, attention mask and position ids, each (rows, length).
    targets
        (rows, scored columns): the id to predict from each of the last columns, or
        :data:`NOT_SCORED`.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor

    @classmethod
    def of(cls, rows: Sequence[Encoded]) -> Batch:
        """Pad rows to the longest of them. The last id of a row is only predicted, never read."""
        length = max(len(row.ids) for row in rows) - 1
        columns = max(row.scored for row in rows)
        ids = np.zeros((len(rows), length), dtype=np.int64)
        mask = np.zeros((len(rows), length), dtype=np.int64)
        targets = np.full((len(rows), columns), NOT_SCORED, dtype=np.int64)
        for at, row in enumerate(rows):
            read = len(row.ids) - 1
            ids[at, length - read :] = row.ids[:-1]
            mask[at, length - read :] = 1
            targets[at, columns - row.scored :] = row.ids[-row.scored :]
        positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
        return cls(*(torch.from_numpy(array) for array in (ids, mask, positions, targets)))

    @property
    def tokens(self) -> int:
        """Token positions read, padding left out."""
        return int(self.mask.sum())

    @property
    def scored_ids(self) -> torch.Tensor:
        """Ids of the positions that targets are predicted from, (rows, scored columns)."""
        return self.ids[:, -self.targets.shape[1] :]


def draw_batches(
    shard: Sequence[Encoded], steps: int, size: int, rng: np.random.Generator
) -> list[list[Encoded]]:
    """The rows of each local step: shuffled passes over the shard, one after another.

    A shard smaller than a batch makes smaller batches, never the same row twice in one.
    """
    size = min(size, len(shard))
    order: list[int] = []
    while len(order) < steps * size:
        order += rng.permutation(len(shard))[: len(shard) // size * size].tolist()
    return [[shard[i] for i in order[s * size : (s + 1) * size]] for s in range(steps)]
