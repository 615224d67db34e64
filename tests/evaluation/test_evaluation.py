import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from fsim.core.errors import ScenarioError
from fsim.data.answer_metrics import METRICS, rouge_l
from fsim.data.encoding import Encoded, encode_examples
from fsim.data.tasks import Example, make_task
from fsim.evaluation import evaluation
from fsim.evaluation.evaluation import Evaluator, choice_log_likelihoods, generate_answers


@pytest.fixture(scope="module")
def examples():
    """Medical questions, prompts of all lengths, some twice."""
    test = make_task("medical", {}).load(Path).test
    return [*test[:36], *test[:4]]


@pytest.fixture
def rows(nano, examples):
    return encode_examples(nano.tokenizer, examples, 40)


@pytest.fixture
def adapter(nano):
    """An adapter that changes what the model says."""
    rng = np.random.default_rng(0)
    return {
        name: (array + rng.normal(scale=0.02, size=array.shape)).astype(np.float32)
        for name, array in nano.initial.items()
    }


def with_few_choices(examples):
    """The answer among one to five others, so that some are picked right."""
    rng = np.random.default_rng(2)
    changed = []
    for example in examples:
        others = [choice for choice in example.choices if choice != example.answer]
        choices = [example.answer, *rng.choice(others, size=rng.integers(1, 6), replace=False)]
        changed.append(replace(example, choices=tuple(map(str, rng.permutation(choices)))))
    return changed


@torch.no_grad()
def plain_logits(nano, ids):
    """Of one sequence alone: no padding, no cache, every position."""
    return nano.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()


def plain_log_likelihoods(nano, ids, scored):
    """Log-likelihood of each of the last ids, and whether it is the most likely one."""
    logits = plain_logits(nano, ids[:-1])[-scored:]
    targets = torch.tensor(ids[-scored:])
    said = logits.log_softmax(dim=-1).gather(1, targets[:, None])[:, 0]
    return said, logits.argmax(dim=-1) == targets


@torch.no_grad()
def plain_generation(nano, prompt, count):
    """The most likely token again and again, everything read anew each time."""
    ids = list(prompt)
    while len(ids) < len(prompt) + count and ids[-1] != nano.tokenizer.eos_token_id:
        ids.append(int(plain_logits(nano, ids)[-1].argmax()))
    return tuple(ids[len(prompt) :])


def with_own_answers(nano, adapter, examples, rows):
    """Every third answer replaced by what the model itself says, so that some are right."""
    nano.write(adapter)
    changed_rows, changed_examples = list(rows), list(examples)
    for at in range(0, len(rows), 3):
        prompt = rows[at].ids[: -rows[at].scored]
        said = plain_generation(nano, prompt, 3 + at % 4)
        changed_rows[at] = Encoded((*prompt, *said), len(said), False)
        changed_examples[at] = replace(
            examples[at], answer=nano.tokenizer.decode(said), choices=("", "")
        )
    return changed_examples, changed_rows


def test_one_pass_gives_what_reading_each_example_alone_gives(nano, adapter, examples, rows):
    examples, rows = with_own_answers(nano, adapter, examples, rows)
    results = {
        metric: Evaluator(nano, rows, examples, metric).evaluate(adapter)
        for metric in ("exact_match", "token_accuracy")
    }
    alone = [plain_log_likelihoods(nano, row.ids, row.scored) for row in rows]
    tokens = sum(row.scored for row in rows)
    loss = -sum(said.sum().item() for said, _ in alone) / tokens
    hits = sum(int(right.sum()) for _, right in alone)
    exact = sum(bool(right.all()) for _, right in alone) / len(rows)
    assert 0.3 < exact < 0.5
    for metric, result in results.items():
        assert result.metric == metric
        assert result.loss == pytest.approx(loss, rel=1e-5)
        assert result.perplexity == pytest.approx(math.exp(loss), rel=1e-4)
        assert result.token_accuracy == hits / tokens
    assert results["exact_match"].accuracy == exact
    assert results["token_accuracy"].accuracy == hits / tokens


def test_without_texts_there_is_the_figure_and_no_labels(nano, rows, examples):
    with_texts = Evaluator(nano, rows, examples).evaluate(nano.initial)
    assert Evaluator(nano, rows).evaluate(nano.initial) == replace(with_texts, by_label={})


def test_multiple_choice_is_what_scoring_each_choice_alone_gives(nano, adapter, examples, rows):
    examples = [*with_few_choices(examples[1:]), examples[0]]
    rows = [*rows[1:], rows[0]]
    assert {len(example.choices) for example in examples} >= {2, 3, 4, 5, 6, 23}
    result = Evaluator(nano, rows, examples, "multiple_choice").evaluate(adapter)
    right = 0
    for example, row in zip(examples, rows, strict=True):
        prompt, means = row.ids[: -row.scored], []
        for choice in example.choices:
            ids = tuple(nano.tokenizer(choice, add_special_tokens=False)["input_ids"])
            ids += (nano.tokenizer.eos_token_id,)
            said, _ = plain_log_likelihoods(nano, prompt + ids, len(ids))
            means.append(said.mean().item())
        right += example.choices[means.index(max(means))] == example.answer
    assert 0 < right < len(examples)
    assert result.accuracy == right / len(examples)


def test_log_likelihoods_of_choices_of_all_lengths(nano, adapter, rows):
    nano.write(adapter)
    prompt = rows[0].ids[: -rows[0].scored]
    for choices in ([(5, 6, 7, 2), (8, 2), (2,)], [(9,), (2,)], [(30, 31)]):
        expected = [
            plain_log_likelihoods(nano, prompt + choice, len(choice))[0].sum().item()
            for choice in choices
        ]
        said = choice_log_likelihoods(nano, prompt, choices)
        assert said == pytest.approx(expected, rel=1e-5)


def test_a_model_gone_to_nan_has_chosen_nothing(nano, rows, examples):
    broken = {name: np.full_like(array, np.nan) for name, array in nano.initial.items()}
    result = Evaluator(nano, rows[:2], examples[:2], "multiple_choice").evaluate(broken)
    assert result.accuracy == 0.0
    assert math.isnan(result.loss)


def test_generating_in_batches_is_what_one_by_one_gives(nano, adapter, rows, monkeypatch):
    monkeypatch.setattr(evaluation, "ROWS_AT_ONCE", 7)
    prompts = [row.ids[: -row.scored] for row in rows] + [(1,), (1, 300)]
    assert len({len(prompt) for prompt in prompts}) > 5
    nano.write(adapter)
    alone = [plain_generation(nano, prompt, 12) for prompt in prompts]
    said = generate_answers(nano, adapter, prompts, 12)
    assert said == [nano.tokenizer.decode(ids, skip_special_tokens=True) for ids in alone]
    assert len(set(said)) > 5
    assert generate_answers(nano, adapter, prompts[:2], 0) == ["", ""]


def test_generating_with_absolute_positions(nano, rows):
    # The nano model's rotary positions are relative, so that only another model can tell.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=4096, n_positions=64, n_embd=32, n_layer=1, n_head=2, initializer_range=0.5
        )
        model = GPT2LMHeadModel(config).eval()
    adapted = SimpleNamespace(model=model, tokenizer=nano.tokenizer, write=lambda adapter: None)
    prompts = [row.ids[: -row.scored] for row in rows[:12]] + [(1, 300)]
    alone = [plain_generation(adapted, prompt, 8) for prompt in prompts]
    assert len(set(alone)) > 5
    said = generate_answers(adapted, {}, prompts, 8)
    assert said == [nano.tokenizer.decode(ids, skip_special_tokens=True) for ids in alone]


def test_generation_stops_at_the_end_mark(nano, adapter, rows):
    # What the model says third stands in for the end mark, so that rows end at different times.
    prompts = [row.ids[: -row.scored] for row in rows[:12]]
    nano.write(adapter)
    third = plain_generation(nano, prompts[0], 12)[2]
    nano.tokenizer.eos_token = nano.tokenizer.convert_ids_to_tokens(third)
    assert nano.tokenizer.eos_token_id == third
    alone = [plain_generation(nano, prompt, 12) for prompt in prompts]
    ended = [ids[:-1] if ids[-1] == third else ids for ids in alone]
    assert len(ended[0]) <= 2
    assert len({len(ids) for ids in ended}) > 1
    said = generate_answers(nano, adapter, prompts, 12)
    assert said == [nano.tokenizer.decode(ids, skip_special_tokens=True) for ids in ended]


def test_rouge_l_is_of_the_text_that_is_really_said(nano, adapter, examples, rows):
    examples, rows = with_own_answers(nano, adapter, examples, rows)
    result = Evaluator(nano, rows, examples, "rouge_l").evaluate(adapter)
    limit = max(row.scored for row in rows) + evaluation.SPARE_TOKENS
    nano.write(adapter)
    scores = []
    for example, row in zip(examples, rows, strict=True):
        said = plain_generation(nano, row.ids[: -row.scored], limit)
        text = nano.tokenizer.decode(said, skip_special_tokens=True)
        scores.append(rouge_l(text, example.answer))
    assert 0.05 < np.mean(scores) < 0.95
    assert result.accuracy == pytest.approx(np.mean(scores), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_the_order_of_the_examples_changes_nothing(
    nano, adapter, examples, rows, metric, monkeypatch
):
    monkeypatch.setattr(evaluation, "ROWS_AT_ONCE", 7)
    examples = with_few_choices(examples)
    # Twins that differ in nothing but their label, among the others.
    examples = [*examples, *(replace(example, label="other") for example in examples[:3])]
    rows = [*rows, *rows[:3]]
    evaluator = Evaluator(nano, rows, examples, metric)
    first = evaluator.evaluate(adapter)
    assert evaluator.evaluate(nano.initial) != first
    # The model is shown the same batches, so that no rounding can differ by them either.
    shown = []
    nano.model.register_forward_pre_hook(
        lambda module, arguments, named: shown.append(named["input_ids"].tolist()),
        with_kwargs=True,
    )
    assert evaluator.evaluate(adapter) == first
    before = shown.copy()
    shown.clear()
    order = np.random.default_rng(1).permutation(len(rows))
    mixed = Evaluator(nano, [rows[i] for i in order], [examples[i] for i in order], metric)
    assert mixed.evaluate(adapter) == first
    assert len(shown) > 6
    assert shown == before


@pytest.mark.parametrize("metric", METRICS)
def test_labels_add_up_to_the_headline_figure(nano, adapter, examples, rows, metric):
    if metric in ("exact_match", "token_accuracy"):
        examples, rows = with_own_answers(nano, adapter, examples, rows)
    elif metric == "multiple_choice":
        examples = with_few_choices(examples)
    result = Evaluator(nano, rows, examples, metric).evaluate(adapter)
    by_label = result.by_label
    counts = Counter[str]()
    for example, row in zip(examples, rows, strict=True):
        counts[example.label] += row.scored if metric == "token_accuracy" else 1
    assert {label: score.count for label, score in by_label.items()} == counts
    assert list(by_label) == sorted(by_label)
    assert len({score.share for score in by_label.values()}) > 1
    assert sum(s.total for s in by_label.values()) / counts.total() == pytest.approx(
        result.accuracy, abs=1e-12
    )
    # A label alone scores what it contributes.
    label, score = max(by_label.items(), key=lambda item: item[1].total)
    own = [at for at, example in enumerate(examples) if example.label == label]
    alone = Evaluator(nano, [rows[i] for i in own], [examples[i] for i in own], metric)
    if metric != "rouge_l":  # whose length limit is that of the longest answer asked for
        assert alone.evaluate(adapter).accuracy == pytest.approx(score.share, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_logits_are_computed_where_they_are_scored_and_nowhere_else(
    nano, examples, rows, metric, monkeypatch
):
    shapes = []
    nano.model.get_output_embeddings().register_forward_hook(
        lambda module, arguments, output: shapes.append(tuple(output.shape[:2]))
    )
    rows, examples = rows[:6], examples[:6]
    Evaluator(nano, rows, examples, metric).evaluate(nano.initial)
    forced, *others = shapes
    assert forced == (6, max(row.scored for row in rows))
    choices = nano.tokenizer(list(examples[0].choices), add_special_tokens=False)["input_ids"]
    longest = max(map(len, choices))
    if metric == "multiple_choice":
        assert others == [(1, 1), (len(choices), longest)] * 6
    elif metric == "rouge_l":
        assert others
        assert set(others) == {(6, 1)}
    else:
        assert not others


def test_no_examples():
    with pytest.raises(ScenarioError, match=r"evaluation\.examples: found 0, allowed is 1 or more"):
        Evaluator(None, [])


def test_a_metric_that_there_is_not(nano, rows):
    with pytest.raises(ScenarioError, match=r"found 'perplexity', allowed are exact_match, token_"):
        Evaluator(nano, rows, metric="perplexity")


def test_choices_that_cannot_be_chosen_from(nano, rows):
    none = Example("c", "q", " a", "l")
    other = Example("c", "q", " a", "l", (" b", " c"))
    with pytest.raises(ScenarioError, match="test example 1 has no choices"):
        Evaluator(nano, rows[:1], [none], "multiple_choice")
    with pytest.raises(ScenarioError, match="answer ' a' of test example 2 is not among its 2"):
        Evaluator(nano, rows[:2], [replace(other, answer=" b"), other], "multiple_choice")


def test_texts_must_come_with_the_rows(nano, rows, examples):
    with pytest.raises(ValueError, match="rouge_l needs the examples as texts"):
        Evaluator(nano, rows, metric="rouge_l")
    with pytest.raises(ValueError, match="found 40 rows and 39 examples"):
        Evaluator(nano, rows, examples[1:])
