import math
from pathlib import Path

import pytest
import torch

from fsim.core.errors import InferenceError, ScenarioError
from fsim.data.tasks import make_task
from fsim.evaluation.evaluation import Evaluator
from fsim.inference.bench import METHODS, NONE, Plan, measure
from fsim.inference.preparation import LORA, Preparation, prepare
from fsim.inference.token_choice import Keep
from fsim.model.adapter import AdaptedModel
from fsim.model.loading import load_base
from fsim.store import Store

SMALL = Preparation(
    "nano", prompt_tokens=120, steps=30, batch_size=8, saliency_prompts=12, learning_rate=5e-3
)
TESTS = 12


@pytest.fixture(scope="module")
def data():
    torch.set_num_threads(1)
    return make_task("medical", {}).load(Path)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def prepared(data, store):
    return prepare(SMALL, data, store)


@pytest.fixture(scope="module")
def rows(prepared, data):
    return prepared.writer.encode(prepared.writer.tests(data.test[:TESTS]))


HALF = ("0.5", Keep(ratio=0.5))


def measured(prepared, rows, methods=tuple(METHODS), keeps=(HALF,), recalled=2):
    plan = Plan(methods, keeps, new_tokens=3, repetitions=2, recalled=recalled)
    return measure(prepared, rows, plan)


def test_a_second_preparation_comes_from_the_store(prepared, data, store):
    assert prepared.reused == ()
    again = prepare(SMALL, data, store)
    assert again.reused == ("adapter", "saliency")
    assert again.head.to_bytes() == prepared.head.to_bytes()
    assert again.table.to_bytes() == prepared.table.to_bytes()
    weights = again.model.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in prepared.model.state_dict().items())


def test_every_side_is_measured(prepared, rows):
    found = measured(prepared, rows)
    assert [each.method for each in found] == [NONE, *METHODS]
    whole = found[0]
    assert (whole.points_lost, whole.lost, whole.won, whole.kept) == (0, 0, 0, 1)
    assert (whole.speed_up, whole.slowest, whole.fastest, whole.cache_share) == (1, 1, 1, 1)
    assert whole.token_recall == 1
    for each in found[1:]:
        assert each.kept == pytest.approx(0.5, abs=0.01)
        # One of four layers keeps all.
        assert each.cache_share == pytest.approx((1 + 3 * 0.5) / 4, abs=0.01)
        assert each.points_lost == pytest.approx(100 * (whole.accuracy - each.accuracy))
        assert each.lost - each.won == round(each.points_lost * TESTS / 100)
        assert 0 < each.slowest <= each.speed_up <= each.fastest
        assert min(each.prompt_s, each.answer_s) > 0


def test_accuracy_of_reading_whole_is_the_evaluators(prepared, rows, data):
    (whole,) = measured(prepared, rows, methods=())
    adapted = AdaptedModel(load_base("nano", device="cpu"), LORA, 0)
    adapted.model.load_state_dict(
        {  # the merged weights under the names of the layers that hold adapters
            name: prepared.model.state_dict()[name.replace(".base_layer", "")]
            for name in adapted.model.state_dict()
        }
    )
    expected = Evaluator(adapted, rows).evaluate(adapted.initial)  # an adapter that adds nothing
    assert whole.accuracy == expected.accuracy


def test_keeping_everything_loses_nothing(prepared, rows):
    for each in measured(prepared, rows, keeps=(("1", Keep(ratio=1.0)),))[1:]:
        assert (each.lost, each.won, each.token_recall, each.cache_share) == (0, 0, 1, 1)


def test_without_recorded_prompts_there_is_no_recall(prepared, rows):
    (whole,) = measured(prepared, rows[:2], methods=(), recalled=0)
    assert math.isnan(whole.token_recall)


def test_an_adapter_of_ones_own(data, tmp_path):
    adapted = AdaptedModel(load_base("nano", device="cpu"), LORA, 0)
    adapted.save(adapted.initial, tmp_path)
    small = Preparation("nano", adapter=tmp_path, layer=2, prompt_tokens=120, saliency_prompts=2)
    found = prepare(small, data, None)
    assert (found.layer, found.layers, found.reused) == (2, 4, ())
    base = load_base("nano", device="cpu").model.state_dict()
    assert all(torch.equal(base[k], v) for k, v in found.model.state_dict().items())


def test_a_folder_without_an_adapter_is_refused(data, tmp_path):
    with pytest.raises(ScenarioError, match=r"adapter: .*: no adapter of peft's for this model"):
        prepare(Preparation("nano", adapter=tmp_path), data, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps: found 0, allowed is 1 or more"),
        ({"prompt_tokens": -1}, "prompt tokens: found -1, allowed is 1 or more"),
        ({"learning_rate": 0.0}, "learning rate: found 0.0, allowed is above 0"),
    ],
)
def test_a_preparation_that_cannot_be_is_refused(changes, message):
    with pytest.raises(InferenceError, match=message):
        Preparation("nano", **changes)


def test_a_layer_out_of_range_is_refused_before_anything_is_trained(data):
    with pytest.raises(InferenceError, match="layer: found 4, allowed are 1 to 3 of 4"):
        prepare(Preparation("nano", layer=4), data, None)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"methods": ("magic",)}, "methods: found 'magic', allowed are fisher-head, fisher-table"),
        ({"new_tokens": 0}, "new tokens: found 0, allowed is 1 or more"),
        ({"repetitions": 0}, "repetitions: found 0, allowed is 1 or more"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(more, message):
    with pytest.raises(InferenceError, match=message):
        Plan(**{"methods": ("random",), "keeps": (HALF,)} | more)


def test_no_prompts_are_refused(prepared):
    with pytest.raises(InferenceError, match="examples: found 0, allowed is 1 or more"):
        measured(prepared, [])
