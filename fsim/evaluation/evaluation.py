"""Evaluating an adapter on held-out examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from fsim.core.errors import ScenarioError
from fsim.core.processes import Workers
from fsim.core.types import Update
from fsim.data.answer_metrics import METRICS, best_choice, exact_match, perplexity, rouge_l
from fsim.data.encoding import NOT_SCORED, Batch, Encoded
from fsim.data.tasks import Example
from fsim.model.adapter import AdaptedModel

ROWS_AT_ONCE = 64

SPARE_TOKENS = 8
"""How much longer than the longest right answer a generated one may get."""

Prompt = tuple[int, ...]


@dataclass(frozen=True)
class LabelScore:
    """Contribution of one label's examples to the headline figure.

    Attributes
    ----------
    total
        Sum of their scores.
    count
        How many were scored: examples, or answer tokens if the metric is ``token_accuracy``.
    """

    total: float
    count: int

    @property
    def share(self) -> float:
        """The headline figure of these examples alone, in [0, 1]."""
        return self.total / self.count


@dataclass(frozen=True)
class Evaluation:
    """Held-out quality of an adapter.

    Attributes
    ----------
    accuracy
        The headline figure, in [0, 1]: what ``metric`` names.
    loss
        Mean negative log-likelihood of an answer token, end mark included, nats.
    perplexity
        exp of it.
    token_accuracy
        Share of the answer tokens, end mark included, that are the most likely ones after the
        right tokens before them.
    metric
        A key of :data:`fsim.data.answer_metrics.METRICS`.
    by_label
        The parts of ``accuracy`` by label, in alphabetical order: all totals over all counts are
        ``accuracy``. Empty where no labels were given.
    """

    accuracy: float
    loss: float
    perplexity: float
    token_accuracy: float
    metric: str
    by_label: dict[str, LabelScore]


class Evaluator:
    """Measures adapters on one set of examples.

    One pass over prompts and right answers gives loss, token accuracy and exact match, the last
    without generating. Multiple choice reads each choice as well; ROUGE-L really generates. The
    order of the examples changes nothing, not even a last digit: batches are made in an order
    that the examples' contents decide.

    Parameters
    ----------
    adapted
        The model; its adapter's values are overwritten.
    rows
        The examples as token ids.
    examples
        The same examples as texts, in the same order: for scores by label, and for the metrics
        that need the choices or the answer's text.
    metric
        The headline figure, a key of :data:`fsim.data.answer_metrics.METRICS`.
    workers
        Processes that read batches side by side, this one included. No result depends on it.

    Raises
    ------
    ScenarioError
        No examples, no such metric, or examples that cannot be scored by it.
    """

    def __init__(
        self,
        adapted: AdaptedModel,
        rows: Sequence[Encoded],
        examples: Sequence[Example] | None = None,
        metric: str = "exact_match",
        workers: int = 1,
    ) -> None:
        if not rows:
            raise ScenarioError("evaluation.examples: found 0, allowed is 1 or more")
        if metric not in METRICS:
            raise ScenarioError(
                f"evaluation.metric: found {metric!r}, allowed are {', '.join(METRICS)}"
            )
        if examples is None:
            if metric in ("multiple_choice", "rouge_l"):
                raise ValueError(f"{metric} needs the examples as texts")
            order = sorted(range(len(rows)), key=lambda i: _content(rows[i]))
        else:
            if len(examples) != len(rows):
                raise ValueError(f"found {len(rows)} rows and {len(examples)} examples")
            if metric == "multiple_choice":
                _check_choices(examples)
            order = sorted(range(len(rows)), key=lambda i: (_content(rows[i]), _text(examples[i])))
        self._adapted = adapted
        self._metric = metric
        self._rows = [rows[i] for i in order]
        self._examples = None if examples is None else [examples[i] for i in order]
        chunks = (order[at : at + ROWS_AT_ONCE] for at in range(0, len(order), ROWS_AT_ONCE))
        self._batches = [
            Batch.of([rows[i] for i in chunk]).to(adapted.model.device) for chunk in chunks
        ]
        self._tokens = np.array([row.scored for row in self._rows])
        self._workers = Workers(self._read_batch, workers)
        if metric == "multiple_choice":
            self._choice_ids = self._encode_choices()

    def close(self) -> None:
        """End the other processes."""
        self._workers.close()

    @torch.no_grad()
    def evaluate(self, adapter: Update) -> Evaluation:
        """Measure an adapter."""
        hits, losses = self._read_answers(adapter)
        counts = np.ones_like(self._tokens)
        if self._metric == "exact_match":
            scores = [exact_match(*pair) for pair in zip(hits, self._tokens, strict=True)]
        elif self._metric == "token_accuracy":
            scores, counts = [float(hit) for hit in hits], self._tokens
        elif self._metric == "multiple_choice":
            self._adapted.write(adapter)
            scores = self._choose()
        else:
            scores = self._generate(adapter)
        loss = math.fsum(losses) / int(self._tokens.sum())
        return Evaluation(
            accuracy=math.fsum(scores) / int(counts.sum()),
            loss=loss,
            perplexity=perplexity(loss),
            token_accuracy=int(hits.sum()) / int(self._tokens.sum()),
            metric=self._metric,
            by_label=self._by_label(scores, counts),
        )

    def _read_answers(
        self, adapter: Update
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Tokens that are the most likely ones, and summed loss, of each right answer."""
        items = [(adapter, number) for number in range(len(self._batches))]
        readings = [read for _, read in sorted(self._workers.map(items), key=lambda pair: pair[0])]
        hits, losses = zip(*readings, strict=True)
        return np.concatenate(hits), np.concatenate(losses)

    @torch.no_grad()
    def _read_batch(
        self, item: tuple[Update, int]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        adapter, number = item
        batch = self._batches[number]
        self._adapted.write(adapter)
        logits = self._adapted.logits(batch)
        hits = (logits.argmax(dim=-1) == batch.targets).sum(dim=1)
        return hits.cpu().numpy(), _losses(logits, batch.targets).cpu().numpy()

    def _encode_choices(self) -> list[list[Prompt]]:
        """Token ids of each example's choices, each text encoded once."""
        tokenizer, examples = self._adapted.tokenizer, self._examples or []
        texts = list({choice: None for example in examples for choice in example.choices})
        encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
        ids = {
            text: (*row, tokenizer.eos_token_id) for text, row in zip(texts, encoded, strict=True)
        }
        return [[ids[choice] for choice in example.choices] for example in examples]

    def _choose(self) -> list[float]:
        scores = []
        for row, example, choices in zip(
            self._rows, self._examples or [], self._choice_ids, strict=True
        ):
            likelihoods = choice_log_likelihoods(self._adapted, _prompt(row), choices)
            best = best_choice(likelihoods, [len(choice) for choice in choices])
            scores.append(float(best is not None and example.choices[best] == example.answer))
        return scores

    def _generate(self, adapter: Update) -> list[float]:
        limit = int(self._tokens.max()) + SPARE_TOKENS
        prompts = [_prompt(row) for row in self._rows]
        outputs = generate_answers(self._adapted, adapter, prompts, limit)
        answers = [example.answer for example in self._examples or []]
        return [rouge_l(*pair) for pair in zip(outputs, answers, strict=True)]

    def _by_label(
        self, scores: Sequence[float], counts: npt.NDArray[np.int64]
    ) -> dict[str, LabelScore]:
        places: dict[str, list[int]] = {}
        for at, example in enumerate(self._examples or []):
            places.setdefault(example.label, []).append(at)
        return {
            label: LabelScore(math.fsum(scores[at] for at in own), int(counts[own].sum()))
            for label, own in sorted(places.items())
        }


@torch.no_grad()
def choice_log_likelihoods(
    adapted: AdaptedModel, prompt: Prompt, choices: Sequence[Prompt]
) -> list[float]:
    """Log-likelihood of each choice after a prompt, nats, with the adapter as it is in the model.

    The prompt is read once and its keys and values are shared by all choices, which follow side by
    side in a second pass.

    Parameters
    ----------
    prompt
        Token ids, one or more.
    choices
        Token ids of each choice, end mark included.
    """
    columns = max(len(choice) for choice in choices)
    device = adapted.model.device
    padded = [(*choice, *(NOT_SCORED,) * (columns - len(choice))) for choice in choices]
    targets = torch.tensor(padded, device=device)
    read = partial(adapted.model, use_cache=True)
    output = read(input_ids=torch.tensor([prompt], device=device), logits_to_keep=1)
    logits = output.logits.expand(len(choices), -1, -1)
    if columns > 1:
        cache = output.past_key_values
        cache.batch_repeat_interleave(len(choices))
        # The padding comes last, where no scored position sees it: it needs no mask.
        ids = targets[:, :-1].clamp(min=0)
        logits = torch.cat([logits, read(input_ids=ids, past_key_values=cache).logits], dim=1)
    likelihoods: list[float] = (-_losses(logits, targets)).tolist()
    return likelihoods


@torch.no_grad()
def generate_answers(
    adapted: AdaptedModel, adapter: Update, prompts: Sequence[Prompt], max_new_tokens: int
) -> list[str]:
    """Generate greedily from each prompt, up to the end mark.

    The loop is written out because a model folder may bring generation settings of its own (a
    repetition penalty, say) that would make it something else than greedy.

    Parameters
    ----------
    prompts
        Token ids, one or more each. Equal prompts are read once and get the same text.
    max_new_tokens
        Where an answer without an end mark is cut off.
    """
    adapted.write(adapter)
    end = adapted.tokenizer.eos_token_id
    distinct = sorted(set(prompts), key=lambda prompt: (len(prompt), prompt))
    outputs: dict[Prompt, str] = {}
    for at in range(0, len(distinct), ROWS_AT_ONCE):
        chunk = distinct[at : at + ROWS_AT_ONCE]
        for prompt, ids in zip(chunk, _continue(adapted, chunk, end, max_new_tokens), strict=True):
            answer = ids[: ids.index(end)] if end in ids else ids
            outputs[prompt] = adapted.tokenizer.decode(
                answer, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
    return [outputs[prompt] for prompt in prompts]


def _continue(
    adapted: AdaptedModel, prompts: Sequence[Prompt], end: int, max_new_tokens: int
) -> list[list[int]]:
    """The most likely tokens after each prompt, until all rows have ended."""
    device = adapted.model.device
    length = max(len(prompt) for prompt in prompts)
    # Padded on the left, so that every row goes on in the same column.
    padding = torch.tensor([length - len(prompt) for prompt in prompts], device=device)
    rows = [(*(end,) * (length - len(prompt)), *prompt) for prompt in prompts]
    ids = torch.tensor(rows, device=device)
    columns = torch.arange(length, device=device)
    mask = (columns >= padding[:, None]).long()
    positions = (columns - padding[:, None]).clamp(min=0)
    cache = None
    new: list[torch.Tensor] = []
    complete = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    while len(new) < max_new_tokens and not complete.all():
        output = adapted.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        new.append(output.logits[:, -1].argmax(dim=-1))
        complete |= new[-1] == end
        cache = output.past_key_values
        ids, positions = new[-1][:, None], positions[:, -1:] + 1
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
    tokens: list[list[int]] = torch.stack(new, dim=1).tolist() if new else [[] for _ in prompts]
    return tokens


def _losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Summed negative log-likelihood of each row's targets, nats, in double precision."""
    scored = targets != NOT_SCORED
    losses = torch.zeros(targets.shape, dtype=torch.float64, device=targets.device)
    losses[scored] = torch.nn.functional.cross_entropy(
        logits[scored].double(), targets[scored], reduction="none"
    )
    return losses.sum(dim=1)


def _prompt(row: Encoded) -> Prompt:
    return row.ids[: -row.scored]


def _content(row: Encoded) -> tuple[int, Prompt, int]:
    return len(row.ids), row.ids, row.scored


def _text(example: Example) -> tuple[str, str, tuple[str, ...]]:
    return example.label, example.answer, example.choices


def _check_choices(examples: Sequence[Example]) -> None:
    for number, example in enumerate(examples, 1):
        if not example.choices:
            raise ScenarioError(
                f"evaluation.metric: found 'multiple_choice', test example {number} has no choices"
            )
        if example.answer not in example.choices:
            raise ScenarioError(
                f"evaluation.metric: found 'multiple_choice', the answer {example.answer!r} of "
                f"test example {number} is not among its {len(example.choices)} choices"
            )
