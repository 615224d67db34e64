"""A disk that takes no more, stood for by a limit to the size of a file: one line, exit code 2."""

import os
import subprocess
import sys

import pytest

from fsim.results.manifest import MANIFEST
from tests.conftest import ROOT
from tests.results.made import write_made

resource = pytest.importorskip("resource")

COMMANDS = [
    ["run", "{scenario}", "--out", "{folder}/out"],
    ["compare", "{scenario}", "--policies", "topk", "--jobs", "1", "--out", "{folder}/out"],
    ["sweep", "{scenario}", "--seeds", "0", "--jobs", "1", "--out", "{folder}/out"],
    ["fleet", "{scenario}", "--out", "{folder}"],
    ["partition", "{scenario}", "--out", "{folder}"],
    ["plot", "{run}"],
    ["report", "{run}"],
    ["timeline", "{run}"],
    ["audit", "--markdown", "{folder}/audit.md"],
    ["audit", "--measured", "{folder}/measured.json"],
    ["trace", "convert", "traces/3g-subway.csv", "{folder}/a.csv"],
    ["trace", "plot", "traces/3g-subway.csv", "--out", "{folder}/a.png"],
    ["trace", "generate", "att-lte-driving", "--seconds", "900", "--out", "{folder}/a.csv"],
]


@pytest.fixture
def small_files(monkeypatch):
    """For now, no file of more than 500 bytes, which no compiled module fits into either."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def scenario(few_file):
    return few_file(protocol__rounds=1)


@pytest.fixture
def made(tmp_path):
    return write_made(tmp_path / "made")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_a_file_that_cannot_be_written_is_named(
    fsim, scenario, made, tmp_path, small_files, command
):
    before = {path: path.stat().st_size for path in made.iterdir()}
    names = {"scenario": scenario, "folder": tmp_path, "run": made}
    done = fsim(*(part.format(**names) for part in command))
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "cannot be written: " in done.stderr
    assert str(tmp_path) in done.stderr
    there = {path: path.stat().st_size for path in made.iterdir() if path.name != MANIFEST}
    assert there == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
@pytest.mark.parametrize(
    "command",
    [["policies"], ["trace", "info", "traces/3g-subway.csv", "--json"], ["audit", "--json"]],
    ids=" ".join,
)
def test_an_output_that_cannot_be_written_is_told(command):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fsim", *command],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "fsim: the output: cannot be written: No space left on device\n"
