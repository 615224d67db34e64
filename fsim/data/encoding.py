"""Examples as token ids, and batches of them as tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from fsim.core.errors import ScenarioError
from fsim.data.tasks import Example

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
        # Each text once: a task may have one question and a few answers for all its examples.
        once = list(dict.fromkeys(texts))
        encoded: list[list[int]] = tokenizer(once, add_special_tokens=False)["input_ids"]
        ids_of = dict(zip(once, encoded, strict=True))
        return [ids_of[text] for text in texts]

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
    """Sequences side by side, padded on the right.

    Attributes
    ----------
    ids
        Token ids, (rows, length). The last id of a sequence is only predicted, never read.
    at
        Positions that a target is predicted from, (rows, columns); 0 where there is none.
    targets
        The ids to predict there, or :data:`NOT_SCORED`, (rows, columns).
    lengths
        Tokens read in each row, (rows,).
    positions
        Position ids, (rows, length); None where each row simply counts from 0.
    """

    ids: torch.Tensor
    at: torch.Tensor
    targets: torch.Tensor
    lengths: torch.Tensor
    positions: torch.Tensor | None = None

    @classmethod
    def of(cls, rows: Sequence[Encoded], shape: BatchShape | None = None) -> Batch:
        """Lay sequences side by side.

        Parameters
        ----------
        rows
            At least one.
        shape
            Shape to pad to; just large enough for the rows if None.
        """
        shape = shape or BatchShape.of(rows, len(rows))
        ids = np.zeros((shape.rows, shape.length), dtype=np.int64)
        at = np.zeros((shape.rows, shape.columns), dtype=np.int64)
        targets = np.full((shape.rows, shape.columns), NOT_SCORED, dtype=np.int64)
        lengths = np.zeros(shape.rows, dtype=np.int64)
        for place, row in enumerate(rows):
            read = len(row.ids) - 1
            lengths[place] = read
            ids[place, :read] = row.ids[:-1]
            at[place, : row.scored] = np.arange(read - row.scored, read)
            targets[place, : row.scored] = row.ids[-row.scored :]
        return cls(*(torch.from_numpy(array) for array in (ids, at, targets, lengths)))

    @classmethod
    def stack(cls, batches: Sequence[Batch]) -> Batch:
        """Batches of one shape as one, in order: the rows of each slot after those before it."""
        parts = zip(*((b.ids, b.at, b.targets, b.lengths) for b in batches), strict=True)
        return cls(*(torch.cat(tensors) for tensors in parts))

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        tensors = (self.ids, self.at, self.targets, self.lengths)
        return Batch(*(tensor.to(device) for tensor in tensors))

    def shortened(self, keep: torch.Tensor) -> Batch:
        """The batch without some of its positions, each row moved together to the left.

        Parameters
        ----------
        keep
            Positions that stay, (rows, length); scored ones must be among them.
        """
        order = (~keep).long().argsort(dim=1, stable=True)
        ids = torch.where(keep.gather(1, order), self.ids.gather(1, order), 0)
        moved = (keep.long().cumsum(dim=1) - 1).clamp(min=0)
        return Batch(ids, moved.gather(1, self.at), self.targets, keep.sum(dim=1), positions=order)

    def columns_scored(self) -> torch.Tensor:
        """Flattened places, as many in every row, that include all scored ones: (rows, columns)."""
        rows, length = self.ids.shape
        scored = torch.zeros_like(self.ids).scatter_add_(1, self.at, self.scored.long())
        columns = scored.argsort(dim=1, descending=True, stable=True)[:, : self.at.shape[1]]
        return columns + torch.arange(rows, device=columns.device).unsqueeze(1) * length

    @property
    def read(self) -> torch.Tensor:
        """Mask of the tokens that are read, padding left out, (rows, length), boolean."""
        places = torch.arange(self.ids.shape[1], device=self.ids.device)
        return places < self.lengths.unsqueeze(1)

    @property
    def scored(self) -> torch.Tensor:
        """Mask of the columns with a target, (rows, columns), boolean."""
        return self.targets != NOT_SCORED


@dataclass(frozen=True)
class BatchShape:
    """Rows, length and scored columns of a batch.

    A client's arithmetic is the same to the bit whenever its batches have the same shape, whoever
    else is trained beside it.
    """

    rows: int
    length: int
    columns: int

    @classmethod
    def of(cls, rows: Iterable[Encoded], count: int) -> BatchShape:
        """The shape for ``count`` rows as long as the longest of these."""
        sizes = [(len(row.ids) - 1, row.scored) for row in rows]
        return cls(count, max(size[0] for size in sizes), max(size[1] for size in sizes))


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
