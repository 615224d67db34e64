"""Training by shortened prompts: its loss, what it changes, and what it leaves alone."""

import copy
import dataclasses
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, MistralConfig, MistralForCausalLM

from fsim.core.errors import InferenceError
from fsim.data.encoding import Encoded
from fsim.data.tasks import make_task
from fsim.inference.adaptation import Adaptation, adapt, merge_adaptation
from fsim.inference.prefill import Reader
from fsim.inference.preparation import Preparation, prepare
from fsim.inference.pruning import PromptPruner
from fsim.inference.token_choice import Keep
from fsim.store import Store
from tests.inference.conftest import FixedScores

LAYER = 2
ANSWER = 3


@pytest.fixture
def model(nano):
    """A copy that a test may change."""
    return copy.deepcopy(nano)


def sequence(length=24, seed=0):
    torch.manual_seed(seed)
    return torch.randint(3, 64, (1, length))


def other(kind):
    torch.manual_seed(0)
    if kind == "gpt2":
        config = GPT2Config(vocab_size=64, n_embd=32, n_layer=4, n_head=4, initializer_range=0.3)
        return GPT2LMHeadModel(config).eval()
    config = MistralConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3, sliding_window=8,
    )  # fmt: skip
    return MistralForCausalLM(config).eval()


def loss(reader, ids):
    return float(reader.answer_loss(ids, ANSWER).detach())


def stepwise(reader, ids):
    """The same loss by reading the prompt and then the answer, a token at a time."""
    reading = reader.read(ids[:, :-ANSWER])
    places = range(ids.shape[1] - ANSWER, ids.shape[1] - 1)
    logits = [reading.logits]
    logits += [reader.extend(reading, ids[:, at : at + 1])[:, -1] for at in places]
    return torch.nn.functional.cross_entropy(torch.cat(logits), ids[0, -ANSWER:])


@pytest.mark.parametrize("kind", ["nano", "gpt2", "mistral, a window of 8"])
def test_the_loss_of_an_answer_is_that_of_answering_token_by_token(nano, kind):
    model = nano if kind == "nano" else other(kind)
    ids = sequence()
    scores = torch.randn(1, ids.shape[1] - ANSWER)
    pruner = PromptPruner(model, LAYER, FixedScores(scores), Keep(ratio=0.4, last=2))
    for reader in (pruner, Reader(model)):
        found = loss(reader, ids)
        assert found == pytest.approx(float(stepwise(reader, ids)), rel=1e-4)
    assert loss(pruner, ids) != loss(Reader(model), ids)


@pytest.mark.parametrize(("rows", "scored"), [(2, 3), (1, 24), (1, 0)])
def test_what_is_no_prompt_and_answer_is_refused(nano, rows, scored):
    with pytest.raises(InferenceError, match=r"ids: found \(\d, 24\) with an answer of"):
        Reader(nano).answer_loss(sequence().expand(rows, -1), scored)


def hidden(model, ids):
    with torch.no_grad():
        return model(ids, output_hidden_states=True).hidden_states


class ByPlace:
    """Early tokens are the salient ones."""

    watching = FixedScores(None).watching

    def score(self, view):
        return -torch.arange(view.ids.shape[1], dtype=torch.float32).expand(view.ids.shape)


def rows_of(count, length=24):
    ids = [tuple(sequence(length, seed)[0].tolist()) for seed in range(count)]
    return [Encoded(each, ANSWER, False) for each in ids]


HOW = Adaptation(steps=6, batch_size=2, learning_rate=1e-2, ratios=(0.4,), last=2)


def test_shortened_prompts_are_learned_and_early_layers_left_alone(model):
    rows = rows_of(2) * HOW.steps
    ids = torch.tensor([rows[0].ids])
    pruner = PromptPruner(model, LAYER, ByPlace(), Keep(ratio=0.4, last=2))
    before, early = loss(pruner, ids), hidden(model, ids)
    adapt(model, rows, LAYER, ByPlace(), HOW, seed=0)
    assert loss(pruner, ids) < 0.7 * before
    late = hidden(model, ids)
    for at in range(LAYER + 1):
        assert torch.equal(early[at], late[at])
    assert not torch.equal(early[LAYER + 1], late[LAYER + 1])
    assert not any(each.requires_grad for each in model.parameters())


def test_whole_prompts_are_learned_as_well(model):
    rows = rows_of(2) * HOW.steps
    ids = torch.tensor([rows[1].ids])
    before = loss(Reader(model), ids)
    adapt(model, rows, LAYER, ByPlace(), HOW, seed=0)
    assert loss(Reader(model), ids) < 0.7 * before


def test_what_was_trained_can_be_merged_again(nano, model):
    again = copy.deepcopy(nano)
    payload = adapt(model, rows_of(2) * HOW.steps, LAYER, ByPlace(), HOW, seed=3)
    merge_adaptation(again, LAYER, payload)
    weights = again.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    with pytest.raises(InferenceError, match="adaptation: found one of another model or layer"):
        merge_adaptation(again, LAYER + 1, payload)


@pytest.mark.parametrize("count", [0, 11, 13])
def test_too_few_or_too_many_rows_are_refused(model, count):
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InferenceError, match=f"rows: found {count}, allowed are 6 x 2"):
        adapt(model, rows_of(count), LAYER, ByPlace(), HOW, seed=0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_steps_of_one_prompt_take_turns(model):
    asked = []

    class Noting(ByPlace):
        def score(self, view):
            asked.append(view.ids.shape[1])
            return super().score(view)

    one = dataclasses.replace(HOW, steps=5, batch_size=1)
    adapt(model, rows_of(5), LAYER, Noting(), one, seed=0)
    assert len(asked) == 3  # the first, third and fifth are shortened


def test_preparing_keeps_it_in_the_store_and_saliency_as_it_was(tmp_path):
    data = make_task("medical", {}).load(Path)
    settings = {"model": "nano", "prompt_tokens": 120, "steps": 2, "saliency_prompts": 3}
    how = Adaptation(steps=2, batch_size=2)
    store = Store(tmp_path)
    plain = prepare(Preparation(**settings), data, store)
    first, second = (
        prepare(Preparation(**settings, adaptation=how), data, store) for _ in range(2)
    )
    assert first.reused == ("adapter", "saliency")
    assert second.reused == ("adapter", "saliency", "adaptation")
    assert first.head.to_bytes() == plain.head.to_bytes()
    weights, others = second.model.state_dict(), plain.model.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in first.model.state_dict().items())
    assert not all(torch.equal(weights[k], v) for k, v in others.items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": -1}, "adapt steps: found -1, allowed is 0 or more"),
        ({"batch_size": 0}, "adapt batch size: found 0, allowed is 1 or more"),
        ({"ratios": ()}, "adapt ratios: found none, allowed is one or more"),
        ({"ratios": (1.5,)}, r"keep ratio: found 1\.5, allowed is above 0 and up to 1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InferenceError, match=message):
        Adaptation(**settings)
