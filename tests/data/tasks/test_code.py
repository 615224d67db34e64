import ast
from collections import Counter
from pathlib import Path

import pytest

from fsim.data.held_out import is_held_out
from fsim.data.tasks import code
from fsim.data.tasks.base import Example
from fsim.data.tasks.code import Code


@pytest.fixture(scope="module")
def data():
    return Code().load(Path)


def questions(source):
    """(last line of the context, answer) of every place in a module that is asked about."""
    found = [e for e in code._completions("made_up", source) if isinstance(e, Example)]
    return [(example.context.rpartition("\n")[2], example.answer) for example in found]


def reasons(source):
    return [found for found in code._completions("made_up", source) if isinstance(found, str)]


def test_thousands_of_examples_and_no_answer_too_common(data):
    assert 9000 < len(data.train) <= 10_000
    assert 700 < len(data.test) <= 1000
    for examples in (data.train, data.test):
        answers = Counter(example.answer for example in examples)
        assert answers.most_common(1)[0][1] / len(examples) < 0.1
    known = {example.answer for example in data.train}
    assert sum(example.answer in known for example in data.test) > 0.98 * len(data.test)


def test_whole_modules_are_held_out(data):
    assert not any(is_held_out(example.label) for example in data.train)
    assert all(is_held_out(example.label) for example in data.test)
    assert len({example.label for example in data.train}) > 100
    assert len({example.label for example in data.test}) > 10


def test_no_context_twice(data):
    contexts = [example.context for example in (*data.train, *data.test)]
    assert len(set(contexts)) == len(contexts)


def test_answers_are_what_the_module_says_there(data):
    root = Path(ast.__file__).parent
    texts = {}
    for example in (*data.train[::7], *data.test):
        if example.label not in texts:
            paths = (root / f"{example.label}.py", root / example.label / "__init__.py")
            texts[example.label] = "".join(p.read_text("utf-8") for p in paths if p.exists())
        text, answer = texts[example.label], example.answer.strip()
        at = text.find("\n" + example.context)
        assert at >= 0
        going_on = []
        while at >= 0:
            going_on.append(text[at + 1 + len(example.context) :].lstrip(" \\\n")[:20])
            at = text.find("\n" + example.context, at + 1)
        assert any("".join(t.split()).startswith("".join(answer.split())) for t in going_on)


def test_contexts_are_whole_last_lines_short_enough_to_be_read_to_their_end(data):
    contexts = [example.context for example in (*data.train, *data.test)]
    assert max(map(len, contexts)) <= 160
    assert sum(len(context) > 80 for context in contexts) > 0.5 * len(contexts)


def test_brackets_and_keywords_by_hand():
    source = '''
def f(a, b=(")", 1)):
    """A bracket ) in a string, and # in the next line ) in a comment."""
    # ) not here ) either
    for key in a:
        if key not in b and (key is not None):
            x = [g(c[0]) for c in a if c]
    try:
        import io
    except (OSError, ValueError) as error:
        raise
    finally:
        return {"a": [1]} if x else -1
'''
    assert questions(source) == [
        ("def f(a, b=(\")\", 1", " )):"),
        ("    for key", " in"),
        ("        if key", " not in"),
        ("        if key not in b", " and"),
        ("        if key not in b and (key", " is not"),
        ("        if key not in b and (key is not None", " ):"),
        ("            x = [g(c[0", " ])"),
        ("            x = [g(c[0])", " for"),
        ("            x = [g(c[0]) for c", " in"),
        ("            x = [g(c[0]) for c in a", " if"),
        ("            x = [g(c[0]) for c in a if c", " ]"),
        ("    ", " except"),
        ("    except (OSError, ValueError", " )"),
        ("    except (OSError, ValueError)", " as"),
        ("    ", " finally:"),
        ('        return {"a": [1', " ]}"),
        ('        return {"a": [1]}', " if"),
        ('        return {"a": [1]} if x', " else"),
    ]  # fmt: skip


def test_a_run_of_brackets_ends_at_a_gap_and_at_its_colon():
    assert questions("def f(a):\n    return a[(1) ][g(0):(2)]\n") == [
        ("def f(a", " ):"),
        ("    return a[(1", " )"),
        ("    return a[(1)", " ]"),
        ("    return a[(1) ][g(0", " ):"),
        ("    return a[(1) ][g(0):(2", " )]"),
    ]


def test_only_functions_are_asked_about_and_contexts_stay_inside_them():
    source = "x = (1)\n\n\ndef f():\n    def g(a):\n        return (a)\n    return g\n\n\ny = (x)\n"
    found = [e for e in code._completions("made_up", source) if isinstance(e, Example)]
    assert [(e.context, e.answer) for e in found] == [
        ("def f(", " ):"),
        ("def f():\n    def g(a", " ):"),
        ("def f():\n    def g(a):\n        return (a", " )"),
    ]


def test_brackets_in_f_strings_are_none():
    assert questions('def f(a):\n    return f"{a[0]} ) {(a)}" + g(a)\n') == [
        ("def f(a", " ):"),
        ('    return f"{a[0]} ) {(a)}" + g(a', " )"),
    ]


def test_a_form_feed_ends_no_line():
    source = "x = 1\n\x0c\ndef f(a):\n    return a[0]\n"
    assert questions(source) == [("def f(a", " ):"), ("    return a[0", " ]")]


def test_an_opening_bracket_that_was_cut_away_is_not_asked_for():
    lines = "".join(f"        'a long line of text, number {n}',\n" for n in range(9))
    source = f"def f():\n    return [\n{lines}    ]\n"
    assert questions(source) == [("def f(", " ):")]
    assert reasons(source) == ["opening bracket too far back"]
    assert reasons(f"def f():\n    return g('{'a' * 160}')\n") == ["line too long"]


def test_the_cap_is_the_largest_that_fits():
    many = [Example(str(n), "", f" {'abc'[(n % 7) // 3]}", "m") for n in range(70)]
    kept = code._balanced(many, 40, 0)
    # 30 of a, 30 of b, 10 of c: 15 + 15 + 10 are 40.
    assert Counter(example.answer for example in kept) == {" a": 15, " b": 15, " c": 10}
    assert [int(e.context) for e in kept] == sorted(int(e.context) for e in kept)
    assert code._balanced(many, 100, 0) == tuple(many)


def test_the_same_examples_every_time(data):
    code._data.cache_clear()
    assert Code().load(Path) == data
