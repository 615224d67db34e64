"""Names and docstrings keep to the rules of CONTRIBUTING: nouns, and what a thing is or does."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import fsim

PACKAGE = Path(fsim.__file__).parent

ROOMS = (
    "adapters",
    "algorithms",
    "experiments",
    "figures",
    "server",
    "settings",
    "simulation",
    "audit",
    "cli",
    "compression",
    "core",
    "data",
    "evaluation",
    "fleet",
    "inference",
    "model",
    "network",
    "report",
    "results",
    "store",
    "trackers",
    "training",
)
"""Rooms that keep to the rules."""

QUESTIONS = {"What", "How", "Whether", "Which", "Where", "When", "Who", "Why"}

PARTICIPLES = {
    "asked", "begun", "chosen", "done", "drawn", "ended", "found", "given", "gone", "held", "kept",
    "known", "left", "made", "met", "said", "seen", "sent", "shown", "taken", "told", "wanted",
    "written"
}  # fmt: skip
"""Words that say what happened to a thing in place of what it is."""

NAMES = {
    ("core/errors.py", "shown"): "a function that reads well in the message that it stands in",
    ("inference/bench.py", "kept"): "a key of infer-bench.json",
    ("compression/policies/powersgd.py", "left"): "the left factor, beside the right one",
}
"""Names from that list that are right, and why."""

TWICE = {
    "__init__": "every package has one",
    "__main__": "a package that can be run has one",
    "base": "the base class of its folder",
    "registry": "the registry of its folder",
    "marks": "what is drawn, and how each of two libraries draws it",
    "style": "one for each of two libraries",
    "energy": "a figure is called as the table that it shows",
    "payload": "a figure is called as what it shows",
    "rounds": "a figure is called as the table that it shows",
    "comparison": "a group of commands is called as what it calls",
    "report": "a group of commands is called as what it calls",
    "store": "a group of commands is called as what it calls",
    "sweep": "a group of commands is called as what it calls",
    "fleet": "settings, commands and figure of one thing",
    "inference": "commands and figure of one thing",
    "partition": "a figure is called as what it shows",
    "loading": "one a room: what it loads is the room's name",
    "run": "the run, and the run with its folder",
}
"""Names that more than one module has, and why."""


def modules(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names that a module gives: of variables, attributes, parameters, functions and classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.ClassDef(name=name):
                yield name, node.lineno


def docstrings(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text.splitlines()[0], node.body[0].lineno


@pytest.mark.parametrize("room", ROOMS)
def test_a_docstring_says_what_a_thing_is_or_does(room):
    questions = [
        f"{name_of(path)}:{line}: {first}"
        for path in modules(room)
        for first, line in docstrings(ast.parse(path.read_text()))
        if first.split()[0].strip(",.:;") in QUESTIONS
    ]
    assert not questions, "\n".join(questions)


@pytest.mark.parametrize("room", ROOMS)
def test_a_name_is_no_participle(room):
    participles = [
        f"{name_of(path)}:{line}: {name}"
        for path in modules(room)
        for name, line in names(ast.parse(path.read_text()))
        if name.strip("_").lower() in PARTICIPLES and (name_of(path), name) not in NAMES
    ]
    assert not participles, "\n".join(participles)


def test_no_two_modules_have_one_name():
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        places[path.stem].append(name_of(path))
    twice = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert {name: paths for name, paths in twice.items() if name not in TWICE} == {}


def test_every_exception_is_needed():
    places = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        places[path.stem].append(path)
    assert [name for name in TWICE if len(places[name]) < 2] == []
    for place, name in NAMES:
        assert name in {each for each, _ in names(ast.parse((PACKAGE / place).read_text()))}
