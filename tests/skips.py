"""Why a test may skip: the stated kinds, and no other. `tests/conftest.py` loads this."""

import importlib.util
import re
from collections.abc import Generator

import pytest

KINDS = {
    "a GPU": r"CUDA",
    "a package that only a registry has": r"package \S+ is not installed|, is not installed",
    "a browser": r"found no chromium",
    "what npm's registry gives": r"found no npm|npm's registry did not give",
    "recordings and reference files": r"recording|recorded traces|reference",
    "privilege, or its absence": r"no device can be made here|nothing is forbidden to root",
    "namespaces": r"namespace",
    "a file or call of another system": (
        r"no full device here|no pipes here|system does not tell|not copied on this system"
        r"|could not import 'resource'"
    ),
    "a compiler": r"needs a C\+\+ compiler",
}
"""What this machine or CI may lack -> how the reasons of such skips read."""


def is_stated(reason: str) -> bool:
    """Whether a reason to skip is of one of the :data:`KINDS`."""
    return any(re.search(pattern, reason) for pattern in KINDS.values())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--extras-installed",
        action="store_true",
        help="fail, instead of skipping, where a package that a test needs is missing",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    needed = [name for mark in item.iter_markers("extras") for name in mark.args]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"the package {missing[0]} is not installed"
        if item.config.getoption("--extras-installed"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def _refuse_unstated(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not is_stated(reason):
        report.outcome = "failed"
        report.longrepr = (
            f"{report.nodeid}: found a skip for {reason!r}, allowed are the kinds of "
            f"tests/skips.py: {', '.join(KINDS)}"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_unstated(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_unstated(report)
    return report
