"""Messages are one line of bounded length, whatever they are made of."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import FsimError, ScenarioError, one_line, shown
from fsim.settings.loading import check_scenario
from tests.conftest import ROOT, tiny_data

CIRCULAR: dict[str, object] = {}
CIRCULAR["x"] = CIRCULAR
DEEP: list[object] = []
for _ in range(5000):
    DEEP = [DEEP]
ODD = [CIRCULAR, DEEP, 10**5000, b"x", {1, 2}, float("nan"), float("inf"), "x" * 10**6, "\ud800",
       "a\0b", object(), {None: 1}, [[]] * 10**5, "9" * 5000, None, True]  # fmt: skip
KEYS = ["name", "seed", "task", "task__path", "model__name", "model__lora__targets", "fleet",
        "training__local_steps", "training__learning_rate", "fleet__clients", "fleet__devices",
        "fleet__uplink__rate", "fleet__uplink__trace", "fleet__availability", "fleet__cells",
        "transport__kind", "protocol__kind", "protocol__selection", "server__aggregation",
        "server__screen", "server__crashes", "compression__policy", "compression__inner",
        "target__value", "nothing"]  # fmt: skip


@given(st.text())
def test_a_message_is_one_line(text):
    message = str(FsimError(text * 40))
    assert len(message) <= 400
    assert len(message.splitlines()) <= 1
    assert message.encode("utf-8") is not None


def test_both_ends_of_a_long_message_stay():
    text = one_line("trace.csv: found " + "x" * 10**7 + ", allowed is a number")
    assert text.startswith("trace.csv: found xxx")
    assert text.endswith("xxx, allowed is a number")


@pytest.mark.parametrize("found", ODD, ids=range(len(ODD)))
def test_anything_can_be_shown(found):
    begin = time.monotonic()
    assert len(shown(found)) <= 60
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize("key", KEYS)
def test_odd_values_from_python_are_refused_or_fine(key):
    for value in ODD:
        try:
            loaded = check_scenario(tiny_data(**{key: value}), "here", (ROOT,))
        except ScenarioError as error:
            message = str(error)
        else:
            assert check_scenario(loaded.scenario.model_dump(mode="json"), "again", (ROOT,))
            continue
        assert message.startswith("here: ")
        assert len(message) < 400
