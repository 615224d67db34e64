"""What trackers are told, and that no run depends on them."""

import logging
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from fsim.core.errors import ScenarioError
from fsim.records import EVALUATION_TYPES
from fsim.simulation.run import simulate
from fsim.trackers import TrackerGroup, make_tracker, numbers, run_name, settings
from fsim.trackers.registry import TRACKERS


class Listener:
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def start(self, scenario):
        self.told.append(("start", scenario))

    def evaluation(self, row):
        self.told.append(("evaluation", row))

    def round(self, row):
        self.told.append(("round", row))

    def finish(self, summary):
        self.told.append(("finish", summary))


class Meddler(Listener):
    """Changes all it is given, and draws from every generator that there is."""

    def _meddle(self, row):
        for key in list(row):
            row[key] = None
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(len(self.told))

    def start(self, scenario):
        scenario["protocol"]["rounds"] = 99
        self._meddle(scenario)

    evaluation = round = finish = _meddle


class Failing(Listener):
    """Raises at one of its calls."""

    def __init__(self, at):
        super().__init__()
        self._at = at

    def __getattribute__(self, name):
        def fail(content):
            self.told.append((name, content))
            raise OSError("no room\nleft")

        return (
            fail if name == object.__getattribute__(self, "_at") else super().__getattribute__(name)
        )


@pytest.fixture(scope="module")
def plain(tiny):
    return simulate(tiny())


def same(one, other):
    assert one.records.equals(other.records)
    assert one.evaluations.equals(other.evaluations)
    assert all(np.array_equal(one.adapter[name], other.adapter[name]) for name in one.adapter)


def test_everything_is_told_in_order(tiny, plain):
    tracker = Listener()
    same(simulate(tiny(), trackers=[tracker]), plain)
    assert [what for what, _ in tracker.told] == [
        "start", "evaluation", "round", "evaluation", "round", "evaluation", "finish",
    ]  # fmt: skip
    assert tracker.told[0][1] == tiny().scenario.model_dump(mode="json")
    evaluations = [row for what, row in tracker.told if what == "evaluation"]
    assert evaluations == plain.evaluations.to_dict("records")
    assert set(evaluations[0]) == set(EVALUATION_TYPES)
    rounds = plain.records[plain.records["kind"] == "round"]
    told = [row for what, row in tracker.told if what == "round"]
    assert [row["round"] for row in told] == [1, 2]
    assert [row["duration_s"] for row in told] == rounds["duration_s"].tolist()
    assert [row["time_s"] for row in told] == (rounds["time_s"] + rounds["duration_s"]).tolist()
    uplink = plain.records[plain.records["kind"] == "upload"].groupby("round")["bytes"].sum()
    assert [row["uplink_bytes"] for row in told] == uplink.cumsum().tolist()
    summary = tracker.told[-1][1]
    assert (summary["status"], summary["failure"]) == ("completed", None)
    assert summary["metrics"] == plain.metrics.as_dict()


def test_no_tracker_changes_a_result(tiny, plain):
    listener = Listener()
    same(simulate(tiny(), trackers=[Meddler(), listener]), plain)
    assert listener.told[0][1]["protocol"]["rounds"] == 2


@pytest.mark.parametrize("at", ["start", "evaluation", "round", "finish"])
def test_a_failing_tracker_is_named_and_told_no_more(tiny, plain, caplog, at):
    failing, other = Failing(at), Listener()
    with caplog.at_level(logging.WARNING, "fsim.trackers"):
        same(simulate(tiny(), trackers=[failing, other]), plain)
    assert caplog.messages == [
        f"Failing failed at {at} and is told no more, the run goes on: OSError: no room left"
    ]
    assert failing.told[-1][0] == at
    assert [what for what, _ in failing.told].count(at) == 1
    assert len(other.told) == 7


def test_a_run_that_is_stopped_is_told_as_such(tiny):
    def stop(progress):
        raise KeyboardInterrupt

    tracker = Listener()
    with pytest.raises(KeyboardInterrupt):
        simulate(tiny(), stop, trackers=[tracker])
    assert tracker.told[-1] == (
        "finish",
        {"status": "stopped", "failure": "KeyboardInterrupt:", "metrics": {}, "facts": {}},
    )


def test_an_interrupt_while_a_tracker_is_told_is_the_users():
    class Interrupted(Listener):
        def round(self, row):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TrackerGroup([Interrupted()]).round({})


def test_numbers_are_those_that_are_finite():
    row = {"a": 1, "b": 0.5, "c": float("nan"), "d": float("inf"), "e": "text", "f": None}
    assert numbers("x", row) == {"x/a": 1.0, "x/b": 0.5}


def test_settings_and_names():
    scenario = {"name": "q", "seed": 3, "compression": {"policy": "qsgd"}, "a": {"b": {"c": [1]}}}
    assert settings(scenario) == {
        "name": "q",
        "seed": 3,
        "compression.policy": "qsgd",
        "a.b.c": [1],
    }
    assert run_name(scenario) == "q-qsgd-seed-3"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tensorflow", "--track: found 'tensorflow', allowed are tensorboard, mlflow, wandb"),
        ("", "--track: found '', allowed are tensorboard"),
        ("wandb:", "--track: found 'wandb:', allowed is wandb or wandb:FOLDER"),
    ],
)
def test_what_is_no_tracker_is_refused(text, told):
    with pytest.raises(ScenarioError, match=told):
        make_tracker(text)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_package_that_is_not_there_is_told_with_its_command(name, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(ScenarioError) as error:
        make_tracker(name)
    assert str(error.value) == (
        f"--track: found {name}, which is not installed: pip install 'fsim[{name}]'"
    )


def test_the_command_line_refuses_before_anything_runs(tiny_file, tmp_path):
    from typer.testing import CliRunner

    from fsim.cli.app import app

    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["run", str(tiny_file()), "--track", "x", "--out", str(out)])
    assert isinstance(result.exception, ScenarioError)
    assert "--track: found 'x'" in str(result.exception)
    assert not out.exists()


def test_a_run_to_a_folder_is_told_and_kept_whatever_a_tracker_does(tiny, tmp_path):
    from fsim.experiments.run import run_to_folder

    listener = Listener()
    summary = run_to_folder(
        tiny(protocol__rounds=1), tmp_path / "out", trackers=[Failing("finish"), listener]
    )
    assert (tmp_path / "out" / "records.parquet").is_file()
    what, told = listener.told[-1]
    assert (what, told["status"], told["metrics"]) == ("finish", "completed", summary["metrics"])


def test_no_tracker_is_imported_unasked():
    code = (
        "import sys, fsim, fsim.trackers, fsim.cli.app;"
        "print([m for m in ('torch', 'tensorboard', 'mlflow', 'wandb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
