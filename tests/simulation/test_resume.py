"""A run killed at any moment is run again, and comes to the same end."""

import json
import multiprocessing
import os
import signal
import sys
import time

import pandas as pd
import pytest
import yaml

from fsim.cli import main
from fsim.cli.options import console
from fsim.core.processes import CAN_FORK
from fsim.experiments.run import run_to_folder
from fsim.settings.loading import load_scenario
from fsim.simulation.run import simulate
from fsim.store import Store
from tests.conftest import ROOT, tiny_data

CHANGES = {
    "compression": {"policy": "fstq"},
    "protocol__rounds": 5,
    "fleet__availability": {"kind": "dropout", "probability": 0.2},
}
FILES = ("records.parquet", "evaluations.parquet", "adapter/adapter_model.safetensors")


pytestmark = pytest.mark.usefixtures("undrawn")


def run_alone(arguments):
    """A command in a process of its own, which tells nobody anything."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.chdir(ROOT)
    sys.argv = ["fsim", *arguments]
    main()


def entries(store):
    return sum(1 for path in store.glob("??/[!.]*")) if store.exists() else 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The scenario's file, and the folder of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_data(**CHANGES)), encoding="utf-8")
    run_to_folder(load_scenario(path), folder / "out")
    return path, folder / "out"


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 4, 9])
def test_killed_and_run_again_gives_the_identical_result(fsim, whole, tmp_path, after):
    path, whole = whole
    store = tmp_path / "store"
    words = ["run", str(path), "--out", str(tmp_path / "out"), "--store", str(store)]
    # A copy of this process has imported PyTorch already.
    context = multiprocessing.get_context("fork" if CAN_FORK else "spawn")
    killed = context.Process(target=run_alone, args=(words,))
    killed.start()
    deadline = time.monotonic() + 120
    while entries(store) < after and killed.is_alive() and time.monotonic() < deadline:
        time.sleep(0.001)
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL, "it was through before it could be killed"
    assert not (tmp_path / "out").exists()
    kept = entries(store)
    assert kept >= after
    again = fsim("run", path, "--out", tmp_path / "out", "--store", store)
    assert (again.returncode, again.stderr) == (0, "")
    for file in FILES:
        assert (tmp_path / "out" / file).read_bytes() == (whole / file).read_bytes(), file
    facts = json.loads((tmp_path / "out" / "summary.json").read_text())["facts"]
    received = pd.read_parquet(whole / "records.parquet")["kind"].eq("receive").sum()
    assert facts["jobs_trained"] + facts["jobs_reused"] == received
    # All that was stored is used: entries are jobs, and the evaluations between them.
    evaluations = 6
    assert kept - evaluations <= facts["jobs_reused"] <= kept


def test_a_second_run_trains_nothing(tiny, tmp_path):
    first = simulate(tiny(**CHANGES), store=Store(tmp_path))
    second = simulate(tiny(**CHANGES), store=Store(tmp_path))
    assert first.facts["jobs_reused"] == 0
    assert second.facts["jobs_trained"] == 0
    assert second.facts["jobs_reused"] == first.facts["jobs_trained"]
    pd.testing.assert_frame_equal(first.records, second.records)
    pd.testing.assert_frame_equal(first.evaluations, second.evaluations)


def test_a_damaged_entry_is_computed_again(tiny, tmp_path, caplog):
    first = simulate(tiny(**CHANGES), store=Store(tmp_path))
    largest = max(tmp_path.glob("??/*"), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[: len(content) // 2])
    second = simulate(tiny(**CHANGES), store=Store(tmp_path))
    assert second.facts["jobs_trained"] == 1
    assert "damaged entry removed" in caplog.text
    pd.testing.assert_frame_equal(first.records, second.records)
    assert largest.read_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        {"training__learning_rate": 1e-3},
        {"training__optimizer": "sgd"},
        {"training__batch_size": 3},
        {"training__cohort_width": 2},
        {"seed": 1},
        {"model__lora": {"rank": 4, "alpha": 16, "targets": ["q_proj", "v_proj"]}},
        {"task__max_prompt_tokens": 20},
        {"compression": {"policy": "fstq", "token_ratio": 0.4}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_training_is_trained_anew(tiny, tmp_path, change):
    one = {"protocol__rounds": 1, "compression": {"policy": "fstq"}}
    simulate(tiny(**one), store=Store(tmp_path))
    assert simulate(tiny(**{**one, **change}), store=Store(tmp_path)).facts["jobs_reused"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"fleet__uplink": {"trace": "traces/lte-driving.csv"}},
        {"fleet__devices": {"phone-mid": 1.0}},
        {"transport": {"kind": "fluid"}},
        {"fleet__transmit_power": "5 W"},
        {"compression": {"policy": "fstq", "share16": 0.1}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_cannot_change_training_trains_nothing(tiny, tmp_path, change):
    one = {"protocol__rounds": 1, "compression": {"policy": "fstq"}}
    simulate(tiny(**one), store=Store(tmp_path))
    facts = simulate(tiny(**{**one, **change}), store=Store(tmp_path)).facts
    assert (facts["jobs_trained"], facts["jobs_reused"]) == (0, 3)


def test_store_commands(fsim, tiny_file, tmp_path, monkeypatch):
    monkeypatch.setattr(console, "_width", 300)
    store = tmp_path / "store"
    path = tiny_file(protocol__rounds=1)
    assert fsim("run", path, "--out", tmp_path / "out", "--store", store).returncode == 0

    def told(*arguments):
        return fsim("store", *arguments, "--store", store)

    # Three jobs and two evaluations.
    assert "5 entries" in told("info").stdout
    assert told("verify").returncode == 0
    entry = next(store.glob("??/*"))
    entry.write_bytes(entry.read_bytes() + b"x")
    verified = told("verify")
    assert verified.returncode == 1
    assert "1 damaged entries" in verified.stdout
    pruned = told("prune", "--limit", "0 B")
    assert "5 entries removed, 0 B left" in pruned.stdout
    wrong = told("prune", "--limit", "lots")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("fsim: --limit: found 'lots', allowed is a size with a unit")
