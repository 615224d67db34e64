"""The command line as its users meet it: what is told, and exit codes."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from tests.conftest import ROOT
from tests.results.made import write_made


def process(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fsim", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_run_writes_everything(fsim, few_file, tmp_path):
    out = tmp_path / "out"
    done = process("run", few_file(), "--set", "protocol.rounds=1", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "final_accuracy" in done.stdout
    written = {path.name for path in out.iterdir()}
    figures = {name for name in written if name.endswith((".png", ".svg"))}
    assert written - figures == {
        "scenario.yaml", "records.parquet", "evaluations.parquet", "summary.json", "adapter",
        "fsim-manifest.json",
    }  # fmt: skip
    for name in ("accuracy_over_time", "accuracy_over_uplink", "round_breakdown", "stragglers"):
        assert {f"{name}.png", f"{name}.svg"} <= figures
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


def test_compare_writes_a_table_and_figures(fsim, tiny_file, tmp_path):
    out = tmp_path / "out"
    policies = "float16,qsgd:bits=2:bucket=64"
    done = fsim("compare", tiny_file(), "--policies", policies, "--jobs", 1, "--out", out)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(out / "comparison.csv")
    assert table["policy"].tolist() == policies.split(",")
    assert table["mean_payload_ratio"].iloc[1] < 0.3
    assert table["time_to_target_s"].isna().all()
    assert "never reached" in done.stdout
    assert (out / "qsgd-bits=2-bucket=64" / "records.parquet").exists()
    before = {path.name: path.read_bytes() for path in out.glob("accuracy*")}
    assert len(before) == 6
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
        (["run", "{scenario}", "--set", "protocol.turns=3"], "protocol: turns: unknown key"),
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
def test_bad_input_is_one_line_and_exit_code_2(fsim, tiny_file, tmp_path, arguments, message):
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


def test_a_folder_with_other_files_is_refused_before_anything_runs(fsim, tiny_file, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.tex").write_text("x")
    done = fsim("run", tiny_file(), "--out", out)
    assert done.returncode == 2
    assert "found a folder with other files in it" in done.stderr
    assert [path.name for path in out.iterdir()] == ["chapter.tex"]


def test_a_run_into_which_nothing_enters_says_so(fsim, tiny_file, tmp_path):
    path = tiny_file(training={"optimizer": "adamw", "learning_rate": 1e37, "local_steps": 4,
                               "max_gradient_norm": None})  # fmt: skip
    done = fsim("run", path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "No update entered the global adapter: of 6 times that a client was asked 0 were" in told
    assert "6 times: its training diverged, training.learning_rate" in told


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_cannot_go_on_keeps_the_records_and_exits_1(fsim, tiny_file, tmp_path):
    path = tiny_file(fleet__availability={"kind": "dropout", "probability": 0.999999},
                     fleet__silent_losses=1,
                     protocol__stop={"without_update": "1 s"})  # fmt: skip
    done = fsim("run", path, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "no update has entered the global adapter for 1.0 s of simulated time" in done.stderr
    assert len(pd.read_parquet(tmp_path / "out" / "records.parquet")) > 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("policies", ["float32", "float16", "qsgd", "topk", "fstq"]),
        ("tasks", ["medical", "multilingual", "code", "jsonl", "hub"]),
        ("models", ["nano", "smollm2-135m"]),
        ("protocols", ["synchronous"]),
        ("selectors", ["uniform", "oort"]),
        ("aggregations", ["fedavg", "trimmed-mean"]),
        ("optimizers", ["fedavg", "fedadam"]),
        ("staleness", ["constant", "polynomial", "hinge"]),
        ("formats", ["csv", "mahimahi"]),
        ("transports", ["tcp", "datagram"]),
        ("trackers", ["tensorboard", "mlflow", "wandb"]),
        ("devices", ["jetson-orin-nano", "phone-mid", "laptop"]),
        ("radios", ["none", "wifi", "3g", "lte", "nr"]),
    ],
)
def test_lists_have_a_line_each(fsim, command, names):
    done = fsim(command)
    assert done.returncode == 0, done.stderr
    listed = [line.split()[0] for line in done.stdout.splitlines() if line[0] != " "]
    assert set(names) <= set(listed)
    assert len(listed) == len(set(listed))
    assert "dataclasses" not in done.stdout  # only what may be set is shown, as it is written


def test_bad_input_is_exit_code_2_of_the_process(tmp_path):
    refused = process("run", tmp_path / "none.yaml")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr == f"fsim: {tmp_path / 'none.yaml'}: No such file or directory\n"


def test_help_is_quick_to_import():
    heavy = "import sys, fsim.cli; print([m for m in ('torch', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_partition_tells_and_draws_who_holds_what(fsim, tiny_file, tmp_path):
    done = fsim("partition", tiny_file(), "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "examples a client: " in done.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tiny-partition.png"]
    assert (tmp_path / "out" / "tiny-partition.png").stat().st_size > 10_000


def test_reference_measures_before_and_after(fsim):
    done = fsim("reference", "medical", "--steps", "3", "--max-prompt-tokens", "12")
    assert done.returncode == 0, done.stderr
    assert "nervous system" in done.stdout
    assert "commonest answer: 19.2%" in done.stdout
    wrong = fsim("reference", "medical:answer=42")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("fsim: TASK: task medical: answer: found 42")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task__partition": {"kind": "natural"}, "fleet__clients": 60}, "natural gives each"),
        ({"task__partition": {"kind": "iid", "minimum": 5000}}, "cannot give 6 clients 5000 each"),
        ({"task": {"name": "jsonl", "path": "none.jsonl"}}, "none.jsonl: no such file"),
        ({"task": {"name": "jsonl"}}, "task jsonl: path: is missing"),
        ({"task__max_prompt_tokens": 3}, "the question alone takes"),
        ({"model__lora": {"targets": ["attention"]}}, "model.lora.targets: Target modules"),
        ({"model__device": "cuda:7"}, "model.device: found 'cuda:7'"),
        ({"evaluation__metric": "bleu"}, "evaluation.metric: found 'bleu', allowed for the task"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_together_is_one_line(fsim, tiny_file, tmp_path, changes, message):
    done = fsim("run", tiny_file(**changes), "--out", tmp_path / "out")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("task", ["multilingual", "code"])
def test_other_tasks_run_with_accuracy_for_each_label(fsim, tiny_file, tmp_path, task):
    path = tiny_file(task={"name": task, "max_prompt_tokens": 48}, evaluation__examples=60,
                     protocol__rounds=1)  # fmt: skip
    done = fsim("run", path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    evaluations = pd.read_parquet(tmp_path / "out" / "evaluations.parquet")
    shares = json.loads(evaluations["accuracy_by_label"].iloc[-1])
    assert len(shares) >= 8
    assert all(0 <= share <= 1 for share in shares.values())


@pytest.mark.usefixtures("undrawn")
def test_own_data_from_a_file(fsim, tiny_file, tmp_path):
    data = tmp_path / "own.jsonl"
    rows = [{"prompt": f"What is {i} plus one?", "answer": str(i + 1), "who": "ab"[i % 2]}
            for i in range(300)]  # fmt: skip
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tiny_file(task={"name": "jsonl", "path": str(data), "label": "who"},
                     evaluation__examples=10, fleet__clients=3)  # fmt: skip
    done = fsim("run", path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["facts"]["training_examples"] + 10 <= 300
    data.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    again = fsim("run", path, "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    other = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert other["scenario_sha256"] != summary["scenario_sha256"]


def test_timeline_writes_both_forms_or_the_one_that_is_named(fsim, tmp_path):
    run = write_made(tmp_path / "run")
    told = fsim("timeline", run)
    assert told.returncode == 0
    assert {path.name for path in run.glob("timeline.*")} == {"timeline.pftrace", "timeline.json"}
    assert fsim("timeline", run, "--out", tmp_path / "a.pftrace").returncode == 0
    assert (tmp_path / "a.pftrace").read_bytes() == (run / "timeline.pftrace").read_bytes()
    refused = fsim("timeline", run, "--out", tmp_path / "a.txt")
    assert refused.returncode
    assert "--out: found a.txt, allowed are .pftrace and .json files" in refused.stderr
