"""Faults in policies' code; `tests/test_api.py` has those of registered ones, in whole runs."""

from pathlib import Path

from fsim.compression import make_policy
from fsim.compression.faults import explained, running
from fsim.core.errors import PayloadError, PolicyFailed

HERE = "tests/compression/test_faults.py"


def failed(error, expected=ValueError):
    """What becomes of an error of code that belongs to no policy that is known."""
    try:
        with running(make_policy("topk", {}), expected):
            raise error  # the line that is told
    except Exception as caught:
        return caught


def line():
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return 1 + next(at for at, text in enumerate(lines) if "# the line that is told" in text)


def test_a_fault_is_told_with_the_innermost_line():
    failure = failed(TypeError("no such thing\n"))
    assert type(failure) is PolicyFailed
    assert str(failure) == f"policy topk: TypeError: no such thing ({HERE}:{line()})"
    assert type(failure.__cause__) is TypeError


def test_outside_the_working_folder_the_whole_path_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(failed(TypeError("no"))).endswith(f" ({__file__}:{line()})")


def test_what_a_policy_may_raise_passes():
    for error, expected in ((ValueError("no"), ValueError), (PayloadError("no"), ValueError)):
        assert failed(error, expected) is error
    assert type(failed(ValueError("no"), PayloadError)) is PolicyFailed


def test_a_refusal_of_a_policy_that_ships_stays_as_it_is():
    assert explained(ValueError("found 3, allowed is 2")) == "found 3, allowed is 2"
