"""The commands in README, docs, Makefile and scenarios can be given one after another."""

import re
import shlex

import pytest
import yaml

from tests.conftest import ROOT

FILES = [
    ROOT / "Makefile",
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "scenarios").rglob("*.yaml")),
]
ENDINGS = {"run": "", "compare": "-comparison", "sweep": "-sweep"}


def commands(path):
    """The words of each fsim command in a file, which may be its comment."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        text = re.sub(r"^#", "", text, flags=re.MULTILINE)
    text = text.replace("$(BIN)/", "").replace("\\\n", " ")
    found = re.findall(r"^\s*fsim ((?:run|compare|sweep|plot|report|timeline) .*)$", text, re.M)
    return [shlex.split(line, comments=True) for line in found]


def folder(words):
    """Where a command writes."""
    if "--out" in words:
        return words[words.index("--out") + 1]
    path = ROOT / words[1]
    if not path.exists():
        return None
    return f"runs/{yaml.safe_load(path.read_text())['name']}{ENDINGS[words[0]]}"


ALL = [words for path in FILES for words in commands(path)]


def test_there_are_some():
    assert {words[0] for words in ALL} >= {"run", "compare", "sweep", "plot", "report"}


def test_no_two_write_to_one_folder():
    written = {}
    for words in ALL:
        if words[0] in ENDINGS and (place := folder(words)) is not None:
            assert written.setdefault(place, words) == words
    assert "runs/quickstart" in written


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_read_has_been_written(path):
    """By what stands before it in the same file, or by `make demo`."""
    there = {folder(words) for words in commands(ROOT / "Makefile")}
    for words in commands(path):
        if words[0] in ENDINGS:
            there.add(folder(words))
        else:
            assert words[1] in there or words[1] == "DIR", words
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"""(?:load|read_parquet)\(["'](runs/[\w-]+)""", text)
    assert set(named) <= there
