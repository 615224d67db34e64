"""Folders of results as users of the command line meet them."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fsim
from fsim.cli.app import app
from fsim.core.errors import OutputError
from fsim.experiments import run as run_module
from fsim.experiments.engines import registry as engines
from fsim.experiments.run import run_to_folder
from fsim.results.manifest import MANIFEST, adopt
from fsim.settings.loading import load_scenario
from tests.results.made import write_made

pytestmark = pytest.mark.usefixtures("undrawn")

SHORT = ("--set", "protocol.rounds=1", "--set", "evaluation.examples=5")


@pytest.fixture
def command(tiny_file, tmp_path, monkeypatch):
    """A command on the tiny scenario, run in a folder of its own and in this process."""
    monkeypatch.setattr(engines, "Processes", lambda count: engines.Here())
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    path = str(tiny_file())

    def invoke(kind, *arguments):
        scenario = [path, *SHORT] if kind in ("run", "compare", "sweep") else []
        return CliRunner().invoke(app, [kind, *scenario, *map(str, arguments)])

    return invoke


COMPARE = ("compare", "--policies", "float16,topk")
SWEEP = ("sweep", "--seeds", "0,1")


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def succeeded(result):
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def refused(result, message):
    assert isinstance(result.exception, OutputError), result.output
    assert result.exception.exit_code == 2
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_commands_one_after_another_leave_everything_in_place(command):
    before = {}
    for words in (COMPARE, SWEEP, ("run",)):
        succeeded(command(*words))
        for kept, held in before.items():
            assert files(kept) == held
        before = {folder: files(folder) for folder in Path("runs").iterdir()}
    assert sorted(os.listdir("runs")) == ["tiny", "tiny-comparison", "tiny-sweep"]
    succeeded(command("report", "runs/tiny"))
    Path("runs/tiny/notes.txt").write_text("mine")
    before = files("runs/tiny-comparison"), files("runs/tiny-sweep")
    succeeded(command("run"))
    assert Path("runs/tiny/notes.txt").read_text() == "mine"
    # What was drawn of old results goes with them.
    assert not Path("runs/tiny/report.html").exists()
    assert (files("runs/tiny-comparison"), files("runs/tiny-sweep")) == before
    assert not list(Path().rglob("*.fsim"))


def run_alone(path, out, overwrite=False, **changes):
    loaded = load_scenario(path, [*SHORT[1::2], *(f"{k}={v}" for k, v in changes.items())])
    run_to_folder(loaded, out, overwrite=overwrite)


def compare_two(path, out, overwrite=False, names="float16,topk", seeds=(), budget=None, **changes):
    loaded = load_scenario(path, [*SHORT[1::2], *(f"{k}={v}" for k, v in changes.items())])
    fsim.compare(
        loaded, fsim.parse_policies(names), out, "float16", None,
        seeds=seeds, match_budget=budget, overwrite=overwrite,
    )  # fmt: skip


def sweep_two(path, out, overwrite=False, **changes):
    settings = [*SHORT[1::2], *(f"{k}={v}" for k, v in changes.items())]
    fsim.sweep(path, {"seed": [0, 1]}, (), settings, out=out, store="none", overwrite=overwrite)


@pytest.mark.parametrize("do", [run_alone, compare_two, sweep_two])
def test_results_of_something_else_need_overwrite(tiny_file, tmp_path, do, monkeypatch):
    path, out = tiny_file(), tmp_path / "above" / "out"
    write_made(out)
    (out / "notes.txt").write_text("mine")
    before = files(out)

    def never(*arguments, **options):
        pytest.fail("it began")

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "simulate", never)
        with pytest.raises(OutputError, match="found a run of scenario 'made'; allowed is"):
            do(path, out)
    assert files(out) == before
    do(path, out, overwrite=True)
    after = files(out)
    assert after["notes.txt"] == before["notes.txt"]
    assert all(after.get(name) != before[name] for name in before if name != "notes.txt")
    assert os.listdir(out.parent) == ["out"]
    # The same again needs nothing, and another setting does.
    do(path, out)
    with pytest.raises(OutputError, match="--overwrite"):
        do(path, out, **{"training.batch_size": 3})


@pytest.mark.parametrize("words", [("run",), COMPARE, SWEEP], ids=lambda words: words[0])
def test_the_option_is_there(command, words):
    write_made(Path("out"))
    refused(command(*words, "--out", "out"), "found a run of scenario 'made'")
    failed = command(*words, "--out", "out", "--overwrite", "--set", "evaluation.examples=100000")
    assert "evaluation.examples: found 100000" in f"{failed.exception} {failed.output}"
    assert Path("out/summary.json").exists() == (words[0] != "sweep")


def test_a_comparison_may_grow_and_not_shrink(tiny_file, tmp_path):
    path, out = tiny_file(), tmp_path / "out"
    compare_two(path, out)
    compare_two(path, out, names="topk,float16,qsgd")
    for options, message in (
        ({}, r"with 1 run that this one lacks \(qsgd:seed=0\)"),
        ({"names": "float16,topk,qsgd", "seeds": [1, 2]}, "with 3 runs that this one lacks"),
        ({"names": "float16,topk,qsgd", "budget": 9000}, "with other settings"),
    ):
        with pytest.raises(OutputError, match=message):
            compare_two(path, out, **options)
    assert {path.name for path in out.iterdir()} == {
        MANIFEST, "comparison.csv", "float16", "topk", "qsgd",
    }  # fmt: skip


def test_a_failed_run_is_written_and_may_be_replaced(tiny_file, tmp_path):
    path, out = tiny_file(), tmp_path / "out"
    stalls = {"fleet.availability": "{kind: dropout, probability: 0.999999}",
              "fleet.silent_losses": "1",
              "protocol.stop": "{without_update: 1 s}"}  # fmt: skip
    for _ in range(2):
        run_alone(path, out, **stalls)
        assert json.loads((out / "summary.json").read_text())["status"] == "failed"
    with pytest.raises(OutputError, match="found a run of scenario 'tiny' with other settings"):
        run_alone(path, out)


def test_defaults_of_two_scenarios_may_be_one_folder(command):
    write_made(Path("runs/tiny-sweep/seed=0-a"))
    told = {"schema": 1, "keys": ["seed"], "cells": [{"folder": "seed=0-a"}]}
    Path("runs/tiny-sweep/sweep.json").write_text(json.dumps(told))
    before = files("runs/tiny-sweep")
    refused(command("run", "--set", "name=tiny-sweep"), "found a sweep of scenario 'made'")
    assert files("runs/tiny-sweep") == before


@pytest.mark.parametrize(
    ("words", "name"),
    [(("plot", "--figure", "stragglers", "--format", "png"), "stragglers.png"),
     (("report",), "report.html"), (("timeline",), "timeline.json")],
    ids=["plot", "report", "timeline"],
)  # fmt: skip
def test_what_is_drawn_takes_nobodys_name(command, words, name, caplog):
    """In a folder of results, and in one that holds such."""
    write_made(Path("runs/one"))
    for folder in ("runs/one",) if words == ("timeline",) else ("runs/one", "runs"):
        adopt(Path(folder))
        path = Path(folder) / name
        path.write_text("mine")
        succeeded(command(*words, folder))
        assert Path(f"{path}.1").read_text() == "mine"
        assert f"now {name}.1" in caplog.text
        succeeded(command(*words, folder))
        assert not Path(f"{path}.2").exists()
        assert name in json.loads((Path(folder) / MANIFEST).read_text())["files"]


@pytest.mark.parametrize("words", [("run",), COMPARE, SWEEP], ids=lambda words: words[0])
def test_a_bad_place_is_told_before_any_work(command, words, monkeypatch):
    monkeypatch.setattr(run_module.simulation, "simulate", lambda *_: pytest.fail("it began"))
    Path("data").mkdir()
    Path("data/years.csv").write_text("of work")
    Path("gone").symlink_to("nowhere")
    for out, message in (
        (".", "runs in"), ("", "runs in"), ("new/..", "runs in"), ("..", "above it"),
        ("runs/../data", "other files"), ("data/years.csv", "found a file"),
        ("data/years.csv/x", "found a file"), ("gone", "link to nothing"), ("/", "root"),
        ("/proc/out", "cannot be written"), ("y" * 254, "File name too long"),
    ):  # fmt: skip
        refused(command(*words, "--out", out), message)
    assert list(files(".")) == ["data/years.csv"]


@pytest.mark.parametrize("words", [("run",), COMPARE, SWEEP], ids=lambda words: words[0])
def test_a_folder_is_found_again_by_the_path_that_was_given(command, words):
    """By way of a folder that is none, and with a name that looks like a style and a picture."""
    place = Path("[/x] :smile:")
    told = succeeded(command(*words, "--out", f"new/../{place}"))
    assert os.listdir() == ["["]
    assert (place / MANIFEST).exists()
    assert str(place) in told.output.replace("\n", "")
