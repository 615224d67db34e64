"""Sweeps as their users meet them: run, killed, continued, refused."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import fsim.experiments.engines.registry as engines
from fsim.cli.sweep import sweep as sweep_command
from fsim.core.errors import OutputError, ScenarioError
from fsim.experiments import jobs
from fsim.experiments.sweep import sweep
from fsim.results.folders import growing
from fsim.results.manifest import SWEEP, TABLE, Identity
from tests.conftest import ROOT

SEEDS = {"seed": [0, 1, 2]}


def test_traces_reuse_the_training_of_their_policy(tiny_file, tmp_path):
    path = tiny_file(fleet__uplink={"trace": str(ROOT / "traces" / "lte-driving.csv")})
    over = {
        "compression.policy": ["float16", "fstq"],
        "fleet.uplink.trace": [str(ROOT / "traces" / f"lte-{kind}.csv")
                               for kind in ("driving", "stationary")],
    }  # fmt: skip
    out = tmp_path / "out"
    table = sweep(path, over, out=out, store=str(tmp_path / "store"))
    assert table["status"].tolist() == ["completed"] * 4
    assert table["compression.policy"].tolist() == ["float16", "float16", "fstq", "fstq"]
    # Two rounds of three clients, trained for the first trace of each policy only.
    assert table["jobs_trained"].tolist() == [6, 0, 6, 0]
    assert table["jobs_reused"].tolist() == [0, 6, 0, 6]
    assert table["final_accuracy"].iloc[0] == table["final_accuracy"].iloc[1]
    assert table["simulated_s"].iloc[0] != table["simulated_s"].iloc[1]
    # What a kept prepared gives is what a run alone gives, to the bit.
    from fsim.settings.loading import load_scenario
    from fsim.simulation.run import simulate

    last = out / table["cell"].iloc[3]
    alone = simulate(load_scenario(last / "scenario.yaml"))
    pd.testing.assert_frame_equal(pd.read_parquet(last / "records.parquet"), alone.records)
    pd.testing.assert_frame_equal(pd.read_parquet(last / "evaluations.parquet"), alone.evaluations)


def test_a_finished_cell_is_not_run_again(tiny_file, tmp_path, stub_runs):
    path, out = tiny_file(), tmp_path / "out"
    first = sweep(path, SEEDS, out=out, store="none")
    assert len(stub_runs) == 3
    again = sweep(path, SEEDS, out=out, store="none")
    assert len(stub_runs) == 3
    pd.testing.assert_frame_equal(first, again)
    assert pd.read_csv(out / TABLE)["seed"].tolist() == [0, 1, 2]
    told = json.loads((out / SWEEP).read_text())
    assert told["keys"] == ["seed"]
    assert [cell["values"] for cell in told["cells"]] == [{"seed": 0}, {"seed": 1}, {"seed": 2}]
    # A sweep may grow; a cell whose run is not of the present code is run again.
    summary = out / first["cell"].iloc[1] / "summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), "code_sha256": "other"}))
    sweep(path, {"seed": [0, 1, 2, 3]}, out=out, store="none")
    assert [name.split("-")[0] for name in stub_runs[3:]] == ["seed=1", "seed=3"]


def test_a_changed_trace_is_run_again(tiny_file, tmp_path, stub_runs):
    trace = tmp_path / "own.csv"
    trace.write_text("time_s,rate_mbit_s\n0,1\n1,2\n")
    path = tiny_file(fleet__uplink={"trace": str(trace)})
    sweep(path, {"seed": [0]}, out=tmp_path / "out", store="none")
    trace.write_text("time_s,rate_mbit_s\n0,1\n1,3\n")
    sweep(path, {"seed": [0]}, out=tmp_path / "out", store="none")
    assert len(stub_runs) == 2
    assert stub_runs[0] == stub_runs[1]


def test_a_failed_cell_is_told_and_does_not_stop_the_others(tiny_file, tmp_path, monkeypatch):
    """The middle of three cannot be built; the last of them has a fault in it."""
    run = jobs.run_to_folder

    def faulty(loaded, *arguments, **options):
        if loaded.scenario.seed == 1:
            raise ZeroDivisionError("by hand")
        return run(loaded, *arguments, **options)

    monkeypatch.setattr(jobs, "run_to_folder", faulty)
    over = {"evaluation.examples": [20, 100_000], "seed": [0, 1]}
    table = sweep(tiny_file(protocol__rounds=1), over, out=tmp_path / "out", store="none")
    assert table["status"].tolist() == ["completed", "failed", "failed", "failed"]
    assert pd.isna(table["error"].iloc[0])
    assert table["error"].iloc[1].startswith("ZeroDivisionError: by hand (test_sweep.py:")
    assert "evaluation.examples: found 100000" in table["error"].iloc[2]
    assert pd.isna(table["final_accuracy"].iloc[2])


def test_a_full_disk_ends_the_sweep_and_it_goes_on(tiny_file, tmp_path, stub_runs, monkeypatch):
    path, out, stub = tiny_file(), tmp_path / "out", jobs.run_to_folder
    full = OutputError("out: cannot be written: No space left on device")

    def fail_at_second(*arguments, **options):
        if len(stub_runs) == 1:
            raise full
        return stub(*arguments, **options)

    monkeypatch.setattr(jobs, "run_to_folder", fail_at_second)
    with pytest.raises(OutputError, match="No space left on device; 1 of 3 cells are finished"):
        sweep(path, SEEDS, out=out, store="none")
    monkeypatch.setattr(jobs, "run_to_folder", stub)
    assert sweep(path, SEEDS, out=out, store="none")["status"].tolist() == ["completed"] * 3
    assert len(stub_runs) == 3


def test_a_folder_that_holds_something_else_is_refused(tiny_file, tmp_path, stub_runs):
    path, out = tiny_file(), tmp_path / "out"
    sweep(path, SEEDS, out=out, store="none")
    with pytest.raises(OutputError, match=r"another sweep .*, with 3 runs that this one lacks"):
        sweep(path, {"training.batch_size": [4, 8]}, out=out, store="none")
    with pytest.raises(OutputError, match="another sweep"):
        sweep(path, SEEDS, set=["training.batch_size=5"], out=out, store="none")
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.tex").write_text("x")
    with pytest.raises(OutputError, match="a folder with other files in it"):
        sweep(path, SEEDS, out=thesis, store="none")
    with pytest.raises(OutputError, match="found a file"):
        sweep(path, SEEDS, out=path, store="none")
    assert len(stub_runs) == 3


def test_two_processes_cannot_do_the_same_sweep(tiny_file, tmp_path, stub_runs):
    path, out = tiny_file(), tmp_path / "out"
    sweep(path, {"seed": [0]}, out=out, store="none")
    another = pytest.raises(OutputError, match="another process is at work")
    with growing(out, Identity("sweep", "tiny", ""), overwrite=True), another:
        sweep(path, SEEDS, out=out, store="none")


def test_nothing_is_run_if_one_cell_is_wrong(tiny_file, tmp_path, stub_runs):
    with pytest.raises(ScenarioError, match=r"cell 3 of 3 \(seed=x\): .*seed: found 'x'"):
        sweep(tiny_file(), {"seed": [0, 1, "x"]}, out=tmp_path / "out", store="none")
    assert stub_runs == []
    assert not (tmp_path / "out").exists()


@pytest.fixture
def command(monkeypatch):
    """The command line in this process, cells included."""
    monkeypatch.setattr(engines, "Processes", lambda count: engines.Here())
    app = typer.Typer()
    app.command()(sweep_command)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def test_the_command_prints_a_table(tiny_file, tmp_path, stub_runs, command, monkeypatch):
    arguments = [tiny_file(), "--seeds", "0,1", "--over", "compression.policy=topk,qsgd:bits=2",
                 "--out", tmp_path / "out", "--store", "none"]  # fmt: skip
    done = command(*arguments)
    assert done.exit_code == 0, done.output
    for text in ("4 cells", "qsgd:bits=2", "completed", "40.0 s", "4 trained, 0 reused"):
        assert text in done.output
    (tmp_path / "out" / stub_runs[0] / "summary.json").unlink()

    def fail(*arguments, **options):
        raise ScenarioError("cannot be run")

    monkeypatch.setattr(jobs, "run_to_folder", fail)
    failed = command(*arguments)
    assert "1 of 4 cells failed" in str(failed.exception)
    assert failed.exception.exit_code == 1
    assert f"failed: {stub_runs[0]}: cannot be run" in failed.output.replace("\n", "")


def test_the_command_tells_what_is_wrong(tiny_file, tmp_path, command):
    for arguments, message in (
        (["--over", "sed=1,2"], "sed: unknown key"),
        (["--seeds", "a"], "--seeds: found 'a'"),
        ([], "found no key to sweep"),
        (["--seeds", "1", "--jobs", "0"], "--jobs: found 0"),
        (["--seeds", "1", "--engine", "dask"], "--engine: found 'dask'"),
    ):
        done = command(tiny_file(), *arguments, "--out", tmp_path / "out")
        assert message in str(done.exception)
        assert done.exception.exit_code == 2
        assert not (tmp_path / "out").exists()


KILLED = """
import sys
from fsim.experiments.sweep import sweep
if __name__ == "__main__":
    path, out, store = sys.argv[1:]
    sweep(path, {"seed": [0, 1, 2, 3]}, out=out, store=store, jobs=2)
"""


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_was(few_file, tmp_path):
    script, out, store = tmp_path / "do.py", tmp_path / "out", tmp_path / "store"
    path = few_file()
    script.write_text(KILLED)
    killed = subprocess.Popen(
        [sys.executable, str(script), str(path), str(out), str(store)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("*/summary.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert killed.returncode == -signal.SIGKILL, "it was through before it could be killed"
    time.sleep(1)  # its workers end themselves
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*/summary.json")}
    assert 1 <= len(kept) < 4
    states = []
    table = sweep(path, {"seed": [0, 1, 2, 3]}, out=out, store=str(store),
                  on_progress=lambda state: states.append(state.state))  # fmt: skip
    assert table["status"].tolist() == ["completed"] * 4
    assert states.count("kept") == len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list(out.glob(".*"))
    assert not list(out.parent.glob(".*"))
