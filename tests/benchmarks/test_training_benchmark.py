"""The training benchmark runs, and its sides do the same work. How fast they are is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import training
from benchmarks.rivals import make_workload

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_small_settings_agree_and_are_reported(tmp_path):
    file = tmp_path / "figures.json"
    command = ["-m", "benchmarks.training", "--settings", "small", "--quick", "--against", "bare"]
    done = subprocess.run(
        [sys.executable, *command, "--json", str(file)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "losses agree" in done.stdout
    report = json.loads(file.read_text(encoding="utf-8"))
    (match,) = report["matches"]
    assert (match["ours"], match["theirs"], match["cores"]) == ("fsim", "bare", 1)
    rounds, clients, steps = 1 + training.PLANS["small"].quick, 20, 4
    assert match["losses_compared"] == rounds * clients * steps
    assert match["loss_difference"] <= match["tolerance"] == 1e-3
    assert match["adapter_difference"] <= training.TOLERANCE_MOVED
    assert match["losses_agree"]
    assert match["work_is_equal"]
    for ratio in (match["ratio_wall"], match["ratio_cpu"]):
        assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"]
    ours, bare = report["sides"]
    assert (ours["side"], bare["side"]) == ("fsim", "bare")
    for side in (ours, bare):
        assert side["rounds"] == training.PLANS["small"].quick
        assert side["clients_a_round"] == clients
        assert side["clients_per_second"]["min"] > 0
        assert side["memory_peak_mib"] >= side["memory_before_mib"] > 0
    assert ours["final_loss"] == pytest.approx(bare["final_loss"], rel=1e-3)
    assert report["versions"]["torch"]


def record(losses, moved):
    made = training.Record("bare", 1, losses=[losses], moved=[np.array(moved)])
    made.turns.append(training.Turn(2.0, 1.0, losses))
    return made


def test_other_work_is_found_out():
    match = training.Match("fsim", "bare", None)
    exact = record([[6.0, 5.0], [4.0, 3.0]], [1.0, -1.0])
    assert training.compare(match, exact, exact)["work_is_equal"]
    assert training.compare(match, exact, exact)["ratio_wall"]["median"] == 1
    other_rows = record([[6.0, 5.0], [4.0, 3.01]], [1.0, -1.0])
    found = training.compare(match, other_rows, exact)
    assert found["loss_difference"] == pytest.approx(0.01 / 3)
    assert not found["losses_agree"]
    assert not found["work_is_equal"]
    never_averaged = record([[6.0, 5.0], [4.0, 3.0]], [0.0, 0.0])
    found = training.compare(match, never_averaged, exact)
    assert found["losses_agree"]
    assert not found["work_is_equal"]


def test_a_loss_that_is_not_a_number_does_not_agree():
    good = record([[6.0, 5.0]], [1.0, 1.0])
    bad = record([[6.0, float("nan")]], [1.0, 1.0])
    assert not training.compare(training.Match("fsim", "bare", None), bad, good)["work_is_equal"]


def test_a_side_without_its_package_is_skipped_with_the_reason(monkeypatch):
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None)
    assert training.missing("small", "fsim") is None
    assert training.missing("small", "pfl") == "the package pfl is not installed"
    assert training.missing("small", "flower") == "the package flwr is not installed"


@pytest.mark.parametrize("settings", ["small", "quickstart"])
def test_all_sides_get_the_same_rows(settings):
    one, two = make_workload(settings), make_workload(settings)
    for number in (0, 3):
        assert one.clients(number) == two.clients(number)
        assert len(set(one.clients(number))) == one.clients_a_round
        client = one.clients(number)[0]
        batches = one.batches(client, number)
        assert batches == two.batches(client, number)
        assert len(batches) == one.steps
    assert one.clients(0) != one.clients(3)
    assert one.batches(0, 0) != one.batches(0, 1)


def test_a_width_of_nothing_is_refused(capsys):
    with pytest.raises(SystemExit):
        training.main(["--width", "0"])
    assert "--width: found 0, allowed is 1 or more" in capsys.readouterr().err
