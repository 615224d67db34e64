"""What fsim knows as its own: by manifest, or as version 0.1.0 left it."""

import json

import pandas as pd
import pytest

from fsim.core.errors import OutputError
from fsim.figures.registry import save_figures
from fsim.results.folders import replacing
from fsim.results.loading import load
from fsim.results.manifest import MANIFEST, Identity, Manifest, adopt, manifest_of
from fsim.results.saving import replacing_file
from tests.results.made import write_made


def older(folder, kind):
    """A folder as version 0.1.0 left it, and what is in it that fsim wrote."""
    if kind == "run":
        write_made(folder)
    elif kind == "comparison":
        for policy in ("float16", "topk"):
            write_made(folder / policy, policy)
        pd.DataFrame({"policy": ["float16", "topk"]}).to_csv(folder / "comparison.csv")
    else:
        for seed in (0, 1):
            write_made(folder / f"seed={seed}-a", seed=seed)
        cells = [{"folder": f"seed={seed}-a", "values": {"seed": seed}} for seed in (0, 1, 2)]
        told = {"schema": 1, "keys": ["seed"], "cells": cells}
        (folder / "sweep.json").write_text(json.dumps(told))
        (folder / ".lock").touch()
    for summary in folder.rglob("summary.json"):
        (summary.parent / "adapter" / "adapter_config.json").write_text("{}")
    (folder / "report.html").write_text("drawn")
    (folder / "accuracy_over_time.png").write_text("drawn")
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["run", "comparison", "sweep"])
def test_what_version_0_1_0_left_is_recognised_and_only_that_is_replaced(tmp_path, kind):
    folder = tmp_path / "out"
    written = older(folder, kind)
    found = manifest_of(folder)
    assert (found.identity.kind, found.identity.name) == (kind, "made")
    assert found.files == written
    run = next(folder.rglob("summary.json")).parent
    theirs = {folder / "notes.txt", run / "thoughts.md", folder / "figure.png"}
    for path in theirs:
        path.write_text("mine")
    another = Identity("run", "another", "1")
    refused = pytest.raises(OutputError, match=f"found a {kind} of scenario 'made'")
    with refused, replacing(folder, another):
        pytest.fail("it began")
    with replacing(folder, another, overwrite=True) as staged:
        (staged / "summary.json").write_text("new")
    left = {path for path in folder.rglob("*") if path.is_file()}
    assert left == theirs | {folder / "summary.json", folder / MANIFEST}


def test_the_same_run_of_version_0_1_0_is_replaced_unasked(tmp_path):
    older(tmp_path / "out", "run")
    with replacing(tmp_path / "out", Identity("run", "made", "0")) as staged:
        (staged / "summary.json").write_text("new")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"summary.json", MANIFEST}


def test_a_figure_that_0_1_0_did_not_draw_is_known_by_the_manifest(tmp_path):
    folder = write_made(tmp_path / "out")
    adopt(folder)
    save_figures(load(folder), folder, ["uplink_over_time"], ["png"])
    assert "uplink_over_time.png" in manifest_of(folder).files
    with replacing(folder, Identity("run", "made", "0")) as staged:
        (staged / "summary.json").write_text("new")
    assert {path.name for path in folder.iterdir()} == {"summary.json", MANIFEST}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("summary.json", "{}"),
        ("summary.json", '{"total": 3}'),
        ("summary.json", "[1, 2]"),
        ("summary.json", "[" * 100_000),
        ("summary.json", "not JSON"),
        ("summary.json", '{"schema": 1, "label": "a", "status": "b", "metrics": {}}'),
        ("comparison.csv", "policy\nfloat16\n"),
        ("comparison.csv", "product,price\nfloat16,3\n"),
        ("sweep.json", '{"room": "kitchen"}'),
        ("sweep.json", '{"schema": 99, "keys": [], "cells": []}'),
        ("sweep.json", "[]"),
        ("sweep.csv", "a,b\n"),
    ],
)
def test_files_of_the_same_names_are_a_strangers(tmp_path, name, text):
    (tmp_path / "out" / "float16").mkdir(parents=True)
    (tmp_path / "out" / name).write_text(text)
    (tmp_path / "out" / "float16" / "x").write_text("mine")
    for overwrite in (False, True):
        refused = pytest.raises(OutputError, match="found a folder with other files in it")
        with (
            refused,
            replacing(tmp_path / "out", Identity("run", "made", "1"), overwrite=overwrite),
        ):
            pytest.fail("it began")
    assert (tmp_path / "out" / name).read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_runs_is_not_results_but_what_is_drawn_there_is_known(tmp_path, caplog):
    write_made(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "report.html").write_text("mine")
    for text in ("first", "second"):
        adopt(tmp_path / "runs")
        with replacing_file(tmp_path / "runs" / "report.html") as file:
            file.write_text(text)
    assert (tmp_path / "runs" / "report.html").read_text() == "second"
    assert (tmp_path / "runs" / "report.html.1").read_text() == "mine"
    assert len(caplog.records) == 1
    refused = pytest.raises(OutputError, match="found a folder with other files in it")
    with refused, replacing(tmp_path / "runs", Identity("run", "made", "1"), overwrite=True):
        pytest.fail("it began")


def test_a_manifest_reads_as_it_was_written(tmp_path):
    identity = Identity("sweep", "naïve", "1", {"a": "a", "b,c": "b"})
    written = Manifest(identity, frozenset({MANIFEST, "x", "y/z"}))
    written.write(tmp_path)
    assert Manifest.read(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]
