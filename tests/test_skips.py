"""A test that skips says why, in words that are stated."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import is_stated

ROOT = Path(__file__).parents[1]

FILE = """
import pytest

@pytest.mark.skipif(True, reason="this machine has no CUDA GPU")
def test_stated(): ...

@pytest.mark.skip(reason="it is flaky")
def test_unstated(): ...

@pytest.mark.xfail(reason="known")
def test_known(): assert False

@pytest.mark.extras("math", "no_such_package")
def test_of_an_extra(): ...
"""


def outcomes(tmp_path, content, *arguments):
    (tmp_path / "test_it.py").write_text(content, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "no:cacheprovider", "-q",
         "-rA", "-c", str(ROOT / "setup.cfg"), "--rootdir", str(tmp_path), *arguments,
         "test_it.py"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def test_a_skip_for_no_stated_reason_fails(tmp_path):
    printed = outcomes(tmp_path, FILE)
    assert "2 skipped, 1 xfailed, 1 error" in printed
    assert "test_unstated: found a skip for 'Skipped: it is flaky', allowed are" in printed
    assert "the package no_such_package is not installed" in printed


def test_a_file_that_skips_for_no_stated_reason_fails(tmp_path):
    content = "import pytest\npytest.skip('not today', allow_module_level=True)\n"
    printed = outcomes(tmp_path, content)
    assert "found a skip for 'Skipped: not today'" in printed
    assert "1 error" in printed


def test_where_extras_are_installed_a_missing_package_fails(tmp_path):
    printed = outcomes(tmp_path, FILE, "--extras-installed", "-m", "extras")
    assert "the package no_such_package is not installed" in printed
    assert "3 deselected, 1 error" in printed


@pytest.mark.parametrize("reason", ["flaky", "too slow", "skipped", "", "unconditional skip"])
def test_what_is_no_reason(reason):
    assert not is_stated(reason)
