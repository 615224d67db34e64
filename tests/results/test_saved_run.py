"""Folders of results that are damaged, or were never fsim's: refused in a line, or read."""

import json
import os
from contextlib import suppress
from functools import partial
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsim.core.errors import FsimError, OutputError
from fsim.figures.content import FigureImpossible
from fsim.figures.contents.labels import label_table
from fsim.figures.contents.payload import section_means
from fsim.report.caveats import warnings_of
from fsim.report.page_tables import (
    models_table,
    results_table,
    runs_table,
    settings_table,
    varied_table,
    versions_table,
)
from fsim.report.perfetto import write_perfetto
from fsim.report.timeline import write_timeline
from fsim.results.energy import battery_drain, energy_by_round
from fsim.results.loading import load
from fsim.results.rounds import client_rounds
from fsim.results.saved_run import SavedRun
from fsim.results.saving import RECORDS, SCENARIO, SUMMARY
from tests.results.made import write_made

TABLES = {"records": "records.parquet", "evaluations": "evaluations.parquet"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run's folder that is as it should be."""
    return write_made(tmp_path_factory.mktemp("whole") / "run", sections={"values": 900})


@pytest.fixture
def damaged(whole, tmp_path):
    """A copy of it whose files can be changed."""
    for path in whole.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def use(folder):
    """All that a folder of results is read for."""
    results = load(folder)
    assert results.labels is not None
    with suppress(FigureImpossible):
        section_means(results.records, results.series)
    with suppress(FigureImpossible):
        label_table(results.evaluations)
    client_rounds(results.records)
    energy_by_round(results.records)
    assert len(results.batteries()) == 0 or battery_drain(results.records, results.batteries()).size
    warnings_of(results)
    for table in (results_table, runs_table):
        table(results.series)
    for told in (models_table, settings_table, varied_table, versions_table):
        told(results)
    (run,) = results.runs
    for write in (write_timeline, write_perfetto):
        write(run.records, run.evaluations, folder / "timeline", run.label)


def refused_or_fine(call, told):
    """Whether it was refused, in a line that says where."""
    try:
        call()
    except FsimError as error:
        message = str(error)
    else:
        return False
    assert "\n" not in message
    assert len(message) < 400
    assert told in message
    return True


def refusal(folder):
    with pytest.raises(FsimError) as caught:
        use(folder)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.mark.parametrize("table", TABLES)
def test_a_flipped_bit_is_noticed_or_changes_nothing(table, damaged):
    path = damaged / TABLES[table]
    content, expected = path.read_bytes(), getattr(SavedRun.open(damaged), table)
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    places = [*range(0, 8 * footer, 211), *range(8 * footer, 8 * len(content), 83)]
    noticed = 0
    for at in places:
        changed = bytearray(content)
        changed[at // 8] ^= 1 << at % 8
        path.write_bytes(changed)
        run = SavedRun.open(damaged)
        if refused_or_fine(partial(getattr, run, table), str(path)):
            noticed += 1
        else:
            assert getattr(run, table).equals(expected), f"bit {at}"
    assert noticed > len(places) / 3


def test_a_number_of_rows_that_has_changed_is_noticed(damaged):
    """Told in the footer, where nothing else protects it: 7, as Thrift writes it."""
    path = damaged / TABLES["evaluations"]
    content = path.read_bytes()
    assert len(SavedRun.open(damaged).evaluations) == 7
    places = [at for at in range(len(content)) if content[at : at + 2] == b"\x16\x0e"]
    messages = []
    for at in places:
        path.write_bytes(content[:at] + b"\x16\x0c" + content[at + 2 :])
        with suppress(OutputError):
            assert len(SavedRun.open(damaged).evaluations) == 7
            continue
        messages.append(at)
    assert len(messages) >= 2


BROKEN_JSON = [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b'{"schema": 1e999}',
               b'{"schema": ' + b"9" * 5000 + b"}", b'{"schema": 2, "schema": 1}']  # fmt: skip


@pytest.mark.parametrize("content", BROKEN_JSON, ids=lambda content: repr(content[:20]))
def test_a_summary_that_is_none(damaged, content):
    (damaged / SUMMARY).write_bytes(content)
    assert str(damaged) in refusal(damaged)


ODD = [None, True, -1, 0.5, 1e400, 10**30, "", "x" * 100_000, [], [[]], {}, {"a": {}}]


@pytest.mark.parametrize("key", ["schema", "label", "name", "status", "task", "metric", "target",
                                 "metrics", "facts", "versions"])  # fmt: skip
def test_odd_values_in_a_summary(damaged, key):
    whole_summary = json.loads((damaged / SUMMARY).read_text())
    for value in ODD:
        (damaged / SUMMARY).write_text(json.dumps(whole_summary | {key: value}))
        refused_or_fine(lambda: use(damaged), str(damaged))


@pytest.mark.parametrize(
    ("key", "value"),
    [("schema", []), ("schema", {}), ("schema", True), ("metrics", {}), ("metrics", []),
     ("target", "half"), ("facts", [1]), ("versions", {"torch": 2}), ("label", None)],
)  # fmt: skip
def test_what_a_summary_cannot_say(damaged, key, value):
    told = json.loads((damaged / SUMMARY).read_text()) | {key: value}
    (damaged / SUMMARY).write_text(json.dumps(told))
    assert str(damaged) in refusal(damaged)


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:12])
def test_odd_metrics_and_facts(damaged, value):
    told = json.loads((damaged / SUMMARY).read_text())
    facts = ("billed_bytes_factor", "batteries_j", "items_skipped", "labels_in_no_shard",
             "prompts_shortened", "run")  # fmt: skip
    places = [("metrics", key) for key in told["metrics"]] + [("facts", key) for key in facts]
    for part, key in places:
        changed = told | {part: told[part] | {key: value}}
        (damaged / SUMMARY).write_text(json.dumps(changed))
        refused_or_fine(lambda: use(damaged), SUMMARY)


@pytest.mark.parametrize(
    "text",
    ["", "a: [", "- 1", "seed: x", "seed: 0\na: &a [*a]", "seed: 0\n" + "a: " + "[" * 5000,
     "seed: 99999999999999999999", "seed: 0\nd: 2026-02-31", "seed: 0\nseed: 1",
     "seed: 0\na: &a [1,1,1,1,1,1,1,1,1,1]\n" + "\n".join(
         f"{y}: &{y} [{', '.join([f'*{x}'] * 10)}]" for x, y in pairwise("abcdefghi"))],
    ids=range(10),
)  # fmt: skip
def test_a_scenario_that_is_none(damaged, text):
    (damaged / SCENARIO).write_text(text)
    assert str(damaged / SCENARIO) in refusal(damaged)


@pytest.mark.parametrize("name", [SUMMARY, SCENARIO, *TABLES.values()])
@pytest.mark.parametrize("how", ["missing", "empty", "cut", "garbage", "folder", "pipe", "zeros"])
def test_files_that_are_not_what_they_should_be(damaged, name, how):
    path = damaged / name
    content = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how != "missing":
        made = {"empty": b"", "cut": content[: len(content) // 3], "garbage": b"PAR1" * 500,
                "zeros": bytes(len(content))}  # fmt: skip
        path.write_bytes(made[how])
    if name == SCENARIO and how == "cut":
        return  # a scenario's beginning may be one
    assert str(damaged) in refusal(damaged)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "value", ["drop", "x", "{", "[1]", '{"a": [', '{"payload": 3}', '{"capacity": []}',
              '{"en": "x"}', '{"a": ' * 30 + "1" + "}" * 30, float("nan"), float("inf"), 1e300,
              -5, 2**62, None]
)  # fmt: skip
def test_odd_columns(damaged, table, value):
    """Each column in turn gone, or of another kind, or with a value that cannot be."""
    path = damaged / TABLES[table]
    frame = pd.read_parquet(path)
    for column in frame:
        changed = frame.copy()
        if value == "drop":
            changed = changed.drop(columns=column)
        elif isinstance(value, str) and isinstance(frame[column].iloc[-1], str):
            changed.loc[changed.index[-1], column] = value
        elif isinstance(value, float) and not isinstance(frame[column].iloc[-1], str):
            changed[column] = changed[column].astype("float64")
            changed.loc[changed.index[-1], column] = value
        else:
            changed[column] = [value] * len(changed)
        changed.to_parquet(path, index=False)
        refused_or_fine(lambda: use(damaged), path.name)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_changed_bytes(damaged, whole, data):
    name = data.draw(st.sampled_from([SUMMARY, SCENARIO, RECORDS]))
    content = bytearray((whole / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    for each in (SUMMARY, SCENARIO, RECORDS):
        (damaged / each).write_bytes((whole / each).read_bytes() if each != name else content)
    refused_or_fine(lambda: use(damaged), str(damaged))
