"""Reference scores of a model on a task, before and after training with all data in one place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from fsim.core.rng import stream, torch_seed
from fsim.data.encoding import BatchShape, draw_batches, encode_examples
from fsim.data.tasks import TaskData
from fsim.evaluation.evaluation import Evaluator
from fsim.model.adapter import AdaptedModel
from fsim.model.loading import load_base
from fsim.model.lora import LoraSettings
from fsim.training.cohort import Cohort, SlotJob
from fsim.training.settings import TrainingSettings

ROWS = 16
LORA = LoraSettings(rank=8, alpha=16, targets="all-linear")
TRAINING = TrainingSettings(optimizer="adamw", learning_rate=3e-3)


@dataclass(frozen=True)
class Reference:
    """Reference figures of a task.

    Attributes
    ----------
    metric
        What the shares are.
    rows
        Label ("all" first), its test examples, its share before training and after.
    commonest
        Share of the test examples that always giving the commonest training answer gets right.
    """

    metric: str
    rows: tuple[tuple[str, int, float, float], ...]
    commonest: float


def reference(
    data: TaskData, metric: str, model: str, steps: int, max_prompt_tokens: int
) -> Reference:
    """Measure zero-shot, train ``steps`` steps of 16 rows with AdamW at 3e-3, measure again.

    LoRA of rank 8 on all linear layers; seed 0; one thread; all test examples.
    """
    torch.set_num_threads(1)
    adapted = AdaptedModel(load_base(model), LORA, torch_seed(0, "learning.adapter"))
    train = encode_examples(adapted.tokenizer, data.train, max_prompt_tokens)
    test = encode_examples(adapted.tokenizer, data.test, max_prompt_tokens)
    evaluator = Evaluator(adapted, test, data.test, metric)
    before = evaluator.evaluate(adapted.initial)
    cohort = Cohort(adapted, 1, BatchShape.of(train, ROWS), TRAINING)
    batches = draw_batches(train, steps, ROWS, stream(0, "learning.reference"))
    (result,) = cohort.train([SlotJob(adapted.layout.flatten(adapted.initial), batches)])
    after = evaluator.evaluate(adapted.layout.unflatten(result.end))
    counts = Counter(example.label for example in data.test)
    rows = [("all", len(test), before.accuracy, after.accuracy)]
    rows += [
        (label, counts[label], before.by_label[label].share, score.share)
        for label, score in after.by_label.items()
    ]
    answer = Counter(example.answer for example in data.train).most_common(1)[0][0]
    hits = sum(example.answer == answer for example in data.test)
    return Reference(metric, tuple(rows), hits / len(test))
