"""Evaluating an adapter on held-out examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fsim.learning.adapter import AdaptedModel
from fsim.learning.encoding import NOT_SCORED, Batch, Encoded
from fsim.vocabulary import Update

ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Evaluation:
    """Held-out quality of an adapter.

    Attributes
    ----------
    accuracy
        Share of the examples whose greedily generated answer is exactly right, end included.
    loss
        Mean negative log-likelihood of an answer token, nats.
    """

    accuracy: float
    loss: float


class Evaluator:
    """Exact match of the generated answer, without generating.

    Greedy decoding produces an answer and its end mark if and only if each of their tokens is the
    most likely one after the tokens before it. So one pass over prompt and right answer, asking at
    each scored position whether the right token is the most likely, tells exactly what generation
    would have said.
    """

    def __init__(self, adapted: AdaptedModel, examples: Sequence[Encoded]) -> None:
        self._adapted = adapted
        rows = sorted(examples, key=lambda row: len(row.ids))
        chunks = (rows[at : at + ROWS_AT_ONCE] for at in range(0, len(rows), ROWS_AT_ONCE))
        self._batches = [Batch.of(chunk) for chunk in chunks]
        self._examples = len(rows)

    @torch.no_grad()
    def evaluate(self, adapter: Update) -> Evaluation:
        """Measure an adapter."""
        self._adapted.write(adapter)
        right, loss, tokens = 0, 0.0, 0
        for batch in self._batches:
            logits = self._adapted.logits(batch)
            ignored = batch.targets == NOT_SCORED
            hits = (logits.argmax(dim=-1) == batch.targets) | ignored
            right += int(hits.all(dim=1).sum())
            loss += torch.nn.functional.cross_entropy(
                logits[~ignored].double(), batch.targets[~ignored], reduction="sum"
            ).item()
            tokens += int((~ignored).sum())
        return Evaluation(right / self._examples, loss / tokens)
