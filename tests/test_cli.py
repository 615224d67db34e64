"""The command line as its users meet it: real processes, real exit codes."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from tests.conftest import ROOT


def fsim(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fsim", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_run_writes_everything(tiny_file, tmp_path):
    out = tmp_path / "out"
    done = fsim("run", tiny_file(), "--set", "protocol.rounds=1", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "final_accuracy" in done.stdout
    assert {path.name for path in out.iterdir()} == {
        "scenario.yaml", "records.parquet", "evaluations.parquet", "summary.json", "adapter",
        "accuracy_over_time.png", "accuracy_over_time.svg",
        "accuracy_over_uplink.png", "accuracy_over_uplink.svg",
    }  # fmt: skip
    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "completed"
    assert summary["versions"]["torch"].startswith("2.")
    # What was written out runs again, to the same records.
    again = fsim("run", out / "scenario.yaml", "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    first, second = (
        pd.read_parquet(folder / "records.parquet") for folder in (out, tmp_path / "again")
    )
    pd.testing.assert_frame_equal(first, second)


def test_compare_writes_a_table_and_figures(tiny_file, tmp_path):
    out = tmp_path / "out"
    policies = "float16,qsgd:bits=2:bucket=64"
    done = fsim("compare", tiny_file(), "--policies", policies, "--out", out)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(out / "comparison.csv")
    assert table["policy"].tolist() == policies.split(",")
    assert table["mean_payload_ratio"].iloc[1] < 0.3
    assert table["time_to_target_s"].isna().all()
    assert "never reached" in done.stdout
    assert (out / "qsgd-bits=2-bucket=64" / "records.parquet").exists()
    before = {path.name: path.read_bytes() for path in out.glob("accuracy*")}
    assert len(before) == 4
    assert all(len(content) > 5000 for content in before.values())
    for path in out.glob("accuracy*"):
        path.unlink()
    drawn = fsim("plot", out)
    assert drawn.returncode == 0, drawn.stderr
    assert {path.name: path.read_bytes() for path in out.glob("accuracy*")} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.yaml"], "fsim: none.yaml: No such file or directory"),
        (["run", "{scenario}", "--set", "protocol.turns=3"], "protocol.turns: unknown key"),
        (["run", "{scenario}", "--set", "fleet.uplink.rate=-3 Mbit/s"], "cannot be negative"),
        (["run", "{scenario}", "--set", "compression.policy=zip"], "found policy 'zip'"),
        (["run", "{scenario}", "--set", "evaluation.examples=5000"], "evaluation.examples"),
        (["compare", "{scenario}", "--policies", "float16,zip"], "--policies: found policy 'zip'"),
        (["compare", "{scenario}", "--policies", "qsgd:bits"], "NAME:OPTION=VALUE"),
        (["compare", "{scenario}", "--policies", "topk,topk"], "found 'topk' twice"),
        (["compare", "{scenario}", "--policies", ","], "--policies: found none"),
        (["compare", "{scenario}", "--policies", "topk", "--baseline", "float16"], "--baseline"),
        (["compare", "{scenario}", "--policies", "topk", "--jobs", "0"], "--jobs: found 0"),
        (["plot", "{folder}/nothing"], "found no summary.json"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(tiny_file, tmp_path, arguments, message):
    names = {"scenario": tiny_file(), "folder": tmp_path}
    arguments = [argument.format(**names) for argument in arguments]
    if arguments[0] != "plot":
        arguments += ["--out", str(tmp_path / "out")]
    done = fsim(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("fsim: ")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_folder_with_other_files_is_refused_before_anything_runs(tiny_file, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.tex").write_text("x")
    done = fsim("run", tiny_file(), "--out", out)
    assert done.returncode == 2
    assert "found a folder with other files in it" in done.stderr
    assert [path.name for path in out.iterdir()] == ["chapter.tex"]


def test_divergence_keeps_the_records_and_exits_1(tiny_file, tmp_path):
    path = tiny_file(training={"optimizer": "adamw", "learning_rate": 1e37, "local_steps": 4,
                               "max_gradient_norm": None})  # fmt: skip
    done = fsim("run", path, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "round 1: the training loss became nan" in done.stderr
    assert len(pd.read_parquet(tmp_path / "out" / "records.parquet")) > 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("policies", ["float32", "float16", "qsgd", "topk", "fstq"]),
        ("tasks", ["medical"]),
        ("models", ["nano"]),
        ("protocols", ["synchronous"]),
        ("devices", ["jetson-orin-nano", "phone-mid", "laptop"]),
    ],
)
def test_lists_have_a_line_each(command, names):
    done = fsim(command)
    assert done.returncode == 0, done.stderr
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert set(names) <= set(listed)
    assert len(listed) == len(set(listed))


def test_help_is_quick_to_import():
    heavy = "import sys, fsim.cli; print([m for m in ('torch', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
