from pathlib import Path

import pytest

from fsim.core.errors import ScenarioError
from fsim.data.tasks import Example, make_task
from fsim.inference.prompts import ASKED_LABEL, OTHER_LABEL, PassageWriter


@pytest.fixture(scope="module")
def data():
    return make_task("medical", {}).load(Path)


@pytest.fixture(scope="module")
def writer(nano_base, data):
    return PassageWriter(nano_base.tokenizer, data.train[:800], 200, seed=0)


def test_a_prompt_is_one_passage_among_others_of_training(writer, data):
    known = {example.context for example in data.train}
    chosen = data.test[:20]
    places = set()
    for long, short in zip(writer.tests(chosen), chosen, strict=True):
        assert (long.question, long.answer) == (short.question, short.answer)
        lines = long.context.splitlines()
        (at,) = [at for at, line in enumerate(lines) if line.startswith(ASKED_LABEL)]
        places.add(at)
        assert lines.pop(at) == f"{ASKED_LABEL} {short.context}"
        others = [line.removeprefix(f"{OTHER_LABEL} ") for line in lines]
        assert len(set(others)) == len(others)
        assert set(others) <= known - {short.context}
    assert len(places) > 3  # it stands anywhere


def test_prompts_are_nearly_as_long_as_asked_for(writer, data):
    rows = writer.encode(writer.tests(data.test[:20]))
    lengths = [len(row.ids) - row.scored for row in rows]
    assert max(lengths) <= 200
    assert sorted(lengths)[10] > 170


def test_training_prompts_are_of_all_lengths_and_never_of_test_passages(writer, data, nano_base):
    rows = writer.training(40)
    lengths = sorted(len(row.ids) - row.scored for row in rows)
    assert lengths[0] < 80
    assert lengths[-1] > 120
    assert all(len(row.ids) - row.scored <= 200 for row in rows)
    text = "".join(nano_base.tokenizer.decode(row.ids) for row in rows)
    assert not any(example.context in text for example in data.test if len(example.context) > 60)
    assert min(len(row.ids) for row in writer.training(10, full=True)) > 150


def test_prompts_are_the_same_every_time(nano_base, data):
    again = PassageWriter(nano_base.tokenizer, data.train[:800], 200, seed=0)
    other = PassageWriter(nano_base.tokenizer, data.train[:800], 200, seed=1)
    first = PassageWriter(nano_base.tokenizer, data.train[:800], 200, seed=0)
    assert first.tests(data.test[:3]) == again.tests(data.test[:3])
    assert first.training(3) == again.training(3)
    assert first.tests(data.test[:3]) != other.tests(data.test[:3])


def test_a_passage_that_does_not_fit_is_refused(nano_base, data):
    writer = PassageWriter(nano_base.tokenizer, data.train[:800], 12, seed=0)
    with pytest.raises(ScenarioError, match="prompt tokens: found 12, test example 1 alone takes"):
        writer.tests([Example("word " * 50, "\nQ:", " a", "l")])
    small = PassageWriter(nano_base.tokenizer, [Example("word " * 50, "\nQ:", " a", "l")], 12, 0)
    with pytest.raises(ScenarioError, match="prompt tokens: found 12, too few for the task's"):
        small.training(1)


def test_no_examples_are_refused(nano_base):
    with pytest.raises(ScenarioError, match="found no training examples"):
        PassageWriter(nano_base.tokenizer, [], 100, 0)
