"""Runs are what they were when they were recorded: records, evaluations and adapters.

Where a change is meant to change them, record them anew, and say why:
``python -m tests.simulation.test_golden --record "REASON"``. Only files that differ are written,
and the reason is added to ``golden/reasons.txt``.
"""

import argparse
import copy
import json
import tempfile
from pathlib import Path

import pytest

from fsim.records import Kind
from tests.simulation.golden_scenarios import (
    AXES,
    SCENARIOS,
    as_text,
    differences,
    load_all,
    outcome,
)

FOLDER = Path(__file__).parent / "golden"
CELLS = [f"sweep-{number + 1}" for number in range(2 ** len(AXES))]
NAMES = [*SCENARIOS, *CELLS]


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("golden"))


def recorded(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_as_it_was_recorded(scenarios, name):
    changed = differences(recorded(name), json.loads(as_text(outcome(scenarios[name]))))
    assert not changed, f"{len(changed)} places differ, the first of them:\n" + "\n".join(
        changed[:20]
    )


def test_what_is_recorded_is_what_is_run():
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(NAMES)


def test_recorded_runs_go_through_what_they_are_named_for():
    accounts = recorded("disasters")["accounts"]
    assert min(accounts[key] for key in ("aggregated", "late", "rejected", "dropped")) > 0
    kinds = {row["kind"] for name in NAMES for row in recorded(name)["records"]}
    assert kinds == set(map(str, Kind))
    assert all(recorded(name)["failure"] is None for name in NAMES)
    losses = [[row["loss"] for row in recorded(name)["evaluations"]] for name in NAMES]
    assert all(min(each) < each[0] for each in losses)


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (("records", -1, "time_s"), lambda value: value * (1 + 1e-8)),
        (("records", -1, "bytes"), lambda value: value + 1),
        (("records", -1, "details"), lambda value: {**value, "more": 1}),
        (("records",), lambda rows: rows[:-1]),
        (("evaluations", 1, "loss"), lambda value: value * (1 + 1e-8)),
        (("adapter", "x.lora_A.weight", 5), lambda value: value + 1e-5),
        (("accounts", "aggregated"), lambda value: value - 1),
    ],
)
def test_a_small_difference_is_seen(place, change):
    before = recorded("synchronous")
    after = copy.deepcopy(before)
    *parents, last = place
    holder = after
    for parent in parents:
        holder = holder[parent]
    holder[last] = change(holder[last])
    assert differences(before, before) == []
    assert len(differences(before, after)) == 1


def record(reason):
    """Write the files of runs that are not as recorded, and why."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        texts = {name: as_text(outcome(each)) for name, each in load_all(Path(folder)).items()}
    changed = []
    for name, text in texts.items():
        path = FOLDER / f"{name}.json"
        if not path.exists() or differences(recorded(name), json.loads(text)):
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    if changed:
        with (FOLDER / "reasons.txt").open("a", encoding="utf-8") as file:
            file.write(f"{', '.join(changed)}: {reason}\n")
    print(f"recorded: {', '.join(changed) or 'nothing, all is as it was'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Record the golden runs anew.")
    parser.add_argument("--record", metavar="REASON", required=True)
    record(parser.parse_args().record)
