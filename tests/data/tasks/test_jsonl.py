import json
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import ScenarioError
from fsim.core.registry import choose
from fsim.data.held_out import is_held_out
from fsim.data.tasks.jsonl import Jsonl, read_lines


def write(path, records):
    lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def questions(count, **more):
    return [{"prompt": f"What is {n} doubled?", "answer": str(2 * n), **more} for n in range(count)]


def test_lines_become_examples(tmp_path):
    path = write(tmp_path / "q.jsonl", questions(100))
    data = Jsonl(path, question="\nA:").load(Path)
    assert len(data.train) + len(data.test) == 100
    first = data.train[0]
    assert first.context == "What is 0 doubled?"
    assert (first.question, first.answer, first.label) == ("\nA:", " 0", "all")
    assert (first.choices, data.skipped) == ((), ())
    assert all(is_held_out(example.context) for example in data.test)
    assert not any(is_held_out(example.context) for example in data.train)


def test_columns_are_chosen(tmp_path):
    records = [{"q": f"{n}?", "a": f"{n}!", "site": f"s{n % 3}", "prompt": None} for n in range(60)]
    data = Jsonl(write(tmp_path / "q.jsonl", records), "q", "a", label="site").load(Path)
    assert {e.label for e in data.train} == {"s0", "s1", "s2"}
    assert all(e.answer == f" {e.context[:-1]}!" for e in (*data.train, *data.test))


@pytest.mark.parametrize("answer", ["ja", " ja", "   ja", "ja\n", "\tja "])
def test_an_answer_gets_exactly_one_leading_space(tmp_path, answer):
    records = [{**record, "answer": answer} for record in questions(40)]
    data = Jsonl(write(tmp_path / "q.jsonl", records)).load(Path)
    assert {example.answer for example in data.train} == {" ja"}


def test_text_of_any_script_and_separator_is_read(tmp_path):
    # U+2028 and U+0085 end lines for str.splitlines, and not in JSON lines.
    odd = {"prompt": "ఒకటి\u2028ఎంత?\u0085", "answer": "一 🙂"}
    path = tmp_path / "q.jsonl"
    write(path, [odd, "", "  ", *questions(40)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    data = Jsonl(str(path)).load(Path)
    assert (odd["prompt"], " 一 🙂") in {(e.context, e.answer) for e in (*data.train, *data.test)}
    assert len(data.train) + len(data.test) == 41


@given(st.lists(st.integers(0, 12), min_size=40, max_size=80), st.integers(0, 10**6))
def test_duplicate_prompts_are_never_on_both_sides(tmp_path_factory, numbers, salt):
    records = [
        {"prompt": f"{salt} {n}" + " " * (at % 2), "answer": f"{at}"}
        for at, n in enumerate(numbers)
    ]
    records += [{"prompt": f"fill {n}", "answer": "x"} for n in range(40)]
    path = write(tmp_path_factory.mktemp("q") / "q.jsonl", records)
    data = Jsonl(path).load(Path)
    trained = {example.context.strip() for example in data.train}
    assert not trained & {example.context.strip() for example in data.test}
    assert len(data.train) + len(data.test) == len(records)


def test_a_test_file_is_kept_whole_and_out_of_training(tmp_path):
    train = write(tmp_path / "train.jsonl", [*questions(20), {"prompt": "new ", "answer": "n"}])
    test = write(tmp_path / "test.jsonl", [*questions(5), {"prompt": "other", "answer": "o"}])
    data = Jsonl(train, test_path=test).load(Path)
    assert len(data.test) == 6
    assert [example.context for example in data.train[:2]] == [
        "What is 5 doubled?",
        "What is 6 doubled?",
    ]
    assert len(data.train) == 16
    assert data.skipped == (("prompt is also in the test file", 5),)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", r":2: not JSON: "),
        ('{"prompt": "a"', r":2: not JSON: "),
        ("[" * 100_000, r":2: not JSON: "),
        ("[1, 2]", r":2: found an array, allowed is a JSON object"),
        ("null", r":2: found null, allowed is a JSON object"),
        ('{"prompt": "a"}', r":2: no key 'answer', found prompt"),
        ("{}", r":2: no key 'prompt', found none"),
        ('{"prompt": "a", "answer": 3}', r":2: answer: found a number, allowed is a string"),
        ('{"prompt": true, "answer": "b"}', r":2: prompt: found a truth value, allowed is"),
        ('{"prompt": null, "answer": "b"}', r":2: prompt: found null, allowed is a string"),
        ('{"prompt": "a", "answer": ["b"]}', r":2: answer: found an array, allowed is a string"),
        ('{"prompt": " ", "answer": "b"}', r":2: prompt: found an empty string"),
        ('{"prompt": "a", "answer": ""}', r":2: answer: found an empty string"),
        ('{"prompt": "\\ud800", "answer": "b"}', r":2: not UTF-8 text \(surrogates"),
    ],
)
def test_a_bad_line_is_told_by_file_and_number(tmp_path, line, message):
    path = write(tmp_path / "q.jsonl", [questions(1)[0], line, *questions(50)[1:]])
    with pytest.raises(ScenarioError, match="^" + re.escape(path) + message) as caught:
        Jsonl(path).load(Path)
    assert "\n" not in str(caught.value)


def test_a_bad_label_is_told(tmp_path):
    path = write(tmp_path / "q.jsonl", [*questions(1, site="x"), *questions(50)[1:]])
    with pytest.raises(ScenarioError, match=r"q\.jsonl:2: no key 'site', found prompt, answer"):
        Jsonl(path, label="site").load(Path)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_bytes(b'{"prompt": "a", "answer": "b"}\n{"prompt": "\xff", "answer": "b"}\n')
    with pytest.raises(ScenarioError, match=r"q\.jsonl:2: not UTF-8 text \(invalid start byte\)"):
        Jsonl(str(path)).load(Path)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file(tmp_path, text):
    path, full = tmp_path / "q.jsonl", write(tmp_path / "full.jsonl", questions(50))
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r"q\.jsonl: found no lines"):
        Jsonl(str(path)).load(Path)
    with pytest.raises(ScenarioError, match=r"q\.jsonl: found no lines"):
        Jsonl(full, test_path=str(path)).load(Path)


def test_nothing_left_to_test_or_to_train_on(tmp_path):
    shown = [record for record in questions(60) if not is_held_out(record["prompt"])]
    path = write(tmp_path / "q.jsonl", shown)
    with pytest.raises(ScenarioError, match=f"no test examples left, none of its {len(shown)} "):
        Jsonl(path).load(Path)
    with pytest.raises(ScenarioError, match="no training examples left"):
        Jsonl(path, test_path=path).load(Path)


def test_a_path_that_is_no_file(tmp_path):
    with pytest.raises(ScenarioError, match=r"q\.jsonl: No such file"):
        Jsonl(str(tmp_path / "q.jsonl")).load(Path)
    with pytest.raises(ScenarioError, match="Is a directory"):
        Jsonl(str(tmp_path)).load(Path)


def test_options_as_scenarios_give_them():
    made = choose("task", {"jsonl": Jsonl}, "jsonl", {"path": "q.jsonl", "label": "site"})
    assert made == Jsonl("q.jsonl", label="site")
    with pytest.raises(ValueError, match="task jsonl: path: is missing"):
        choose("task", {"jsonl": Jsonl}, "jsonl", {})
    with pytest.raises(ValueError, match="task jsonl: prompts: unknown key, allowed are path, "):
        choose("task", {"jsonl": Jsonl}, "jsonl", {"path": "q.jsonl", "prompts": "q"})


def test_a_big_file_is_read_a_line_at_a_time(tmp_path):
    path = tmp_path / "big.jsonl"
    line = json.dumps({"prompt": "p" * 1000, "answer": "a" * 1000})
    path.write_text(f"{line}\n" * 10_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_lines(path)) == 10_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 20_000_000
    assert peak < 1_000_000


def test_a_key_twice_is_refused(tmp_path):
    path = tmp_path / "twice.jsonl"
    path.write_text('{"prompt": "a", "answer": "b", "answer": "c"}\n')
    with pytest.raises(
        ScenarioError, match=r"twice\.jsonl:1: not JSON: found the key 'answer' twice"
    ):
        list(read_lines(path))
