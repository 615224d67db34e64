"""Errors are one line, and with --debug or FSIM_DEBUG their whole traceback above it."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def fsim(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "fsim", *words], cwd=ROOT, capture_output=True, text=True,
        check=False, env={**os.environ, **environment},
    )  # fmt: skip


LINE = "fsim: none.yaml: No such file or directory"


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (("--debug", "run", "none.yaml"), {}),
        (("run", "none.yaml", "--debug"), {}),
        (("run", "none.yaml"), {"FSIM_DEBUG": "1"}),
    ],
)
def test_debug_shows_the_traceback_and_what_was_raised_first(words, environment):
    done = fsim(*words, **environment)
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert "FileNotFoundError: " in done.stderr
    assert done.stderr.splitlines()[-1] == LINE


@pytest.mark.parametrize("environment", [{}, {"FSIM_DEBUG": ""}, {"FSIM_DEBUG": "0"}])
def test_without_it_an_error_is_one_line(environment):
    assert fsim("run", "none.yaml", **environment).stderr == LINE + "\n"


def test_usage_errors_have_a_traceback_too():
    done = fsim("run", "--nothing", FSIM_DEBUG="1")
    assert done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1].startswith("fsim: No such option")
