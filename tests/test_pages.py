"""What the pages name is there: files, commands, options, modules."""

import contextlib
import importlib
import importlib.util
import re
from pathlib import Path

import pytest
import typer.main

from fsim.cli.app import app

ROOT = Path(__file__).parents[1]
# What was changed, and what was found out, at some time: they tell of files that are gone.
HISTORY = {"CHANGELOG.md", "research-log.md"}
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for folder in (ROOT, ROOT / "docs", ROOT / "examples", ROOT / "fsim" / "model" / "nano")
    for path in sorted(folder.glob("*.md"))
    if path.name not in HISTORY
}

ROOMS = "fsim|tests|docs|benchmarks|examples|notebooks|scenarios|traces"
PATH = re.compile(rf"(?<![\w/.-])(?:{ROOMS})/[\w./*-]*\w")
"""A path from the root, in text or code."""

MODULE = re.compile(r"(?<![\w/.'-])(?:fsim|benchmarks|tests)(?:\.[A-Za-z_]\w*)+")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND = re.compile(r"(?:^|`|&& |bin/)fsim ([a-z][a-z-]+)(?: ([a-z]+)\b)?", re.MULTILINE)

INVENTED = re.compile(r"yours|my_|MODULE|ROOM")
"""In the name of a file that its reader is to write."""

OF_OTHERS = {
    "--address", "--backend-store-uri", "--bidir", "--head", "--logdir", "--no-deps", "--num-cpus",
    "--port",
}  # fmt: skip
"""Options of Ray, pip, iperf3, MLflow and TensorBoard."""

PROGRAMS = {
    option
    for folder in ("benchmarks", "fsim", "tests/exploration")
    for path in (ROOT / folder).rglob("*.py")
    for option in re.findall(r"add_argument\(\s*\"(--[a-z-]+)\"", path.read_text(encoding="utf-8"))
}
"""Options of the programs beside the command line."""


def commands(group=None, path=()):
    """Every command, by its words -> the options that it takes."""
    group = typer.main.get_command(app) if group is None else group
    every = {path: {text for each in group.params for text in (*each.opts, *each.secondary_opts)}}
    for name, command in getattr(group, "commands", {}).items():
        every |= commands(command, (*path, name))
    return every


COMMANDS = commands()


def is_there(name):
    """Whether an object or module of a dotted name is there."""
    with contextlib.suppress(ImportError):  # raised where it is no module
        if importlib.util.find_spec(name):
            return True
    parts = name.split(".")
    for at in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:at]))
        except ModuleNotFoundError:
            continue
        except ImportError:  # of a package that an extra brings
            source = ROOT.joinpath(*parts[:at]).with_suffix(".py")
            if not source.is_file():
                continue
            return re.search(rf"^(def |class )?{parts[at]}\b", source.read_text("utf-8"), re.M)
        for part in parts[at:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES)
def test_files_are_there(page):
    text = PAGES[page].read_text(encoding="utf-8")
    named = {path for path in PATH.findall(text) if not INVENTED.search(path)}
    missing = [path for path in sorted(named) if not any(ROOT.glob(path))]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_there(page):
    text = PAGES[page].read_text(encoding="utf-8")
    missing = []
    for command, below in COMMAND.findall(text):
        is_group = any(len(path) == 2 and path[0] == command for path in COMMANDS)
        path = (command, below) if is_group and below else (command,)
        if path not in COMMANDS:
            missing.append(path)
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_options_are_there(page):
    text = PAGES[page].read_text(encoding="utf-8")
    known = PROGRAMS | OF_OTHERS | {option for each in COMMANDS.values() for option in each}
    assert sorted(set(OPTION.findall(text)) - known) == []


@pytest.mark.parametrize("page", PAGES)
def test_names_of_python_are_there(page):
    text = PAGES[page].read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```.*?```|`[^`]*`", text, re.DOTALL))
    named = {name for name in MODULE.findall(code) if not INVENTED.search(name)}
    files = {name for name in named if re.search(r"\.(payload|memory|fisher|plugins|yaml)$", name)}
    assert [name for name in sorted(named - files) if not is_there(name)] == []
