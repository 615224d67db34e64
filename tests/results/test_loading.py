import json
import math
import time

import numpy as np
import pandas as pd
import pytest

import fsim
from fsim.core.errors import OutputError
from fsim.records import EVALUATION_TYPES, RECORD_TYPES
from fsim.results.loading import IDENTITY, in_words, load, load_runs, shortened
from fsim.results.metrics import measure_by_label
from tests.results.made import TARGET, rewrite_summary, write_made


def test_tables_begin_with_run_policy_and_seed(tmp_path):
    write_made(tmp_path / "a", "qsgd", seed=3)
    write_made(tmp_path / "b", "topk", seed=4, rounds=2)
    results = fsim.load(tmp_path)
    for table, types in ((results.records, RECORD_TYPES), (results.evaluations, EVALUATION_TYPES)):
        assert table.columns.tolist() == [*IDENTITY, *types]
    last = results.records.iloc[-1]
    assert (last["run"], last["policy"], last["seed"]) == ("b", "topk", 4)
    assert len(results.evaluations) == 7 + 3
    assert results.records.iloc[: len(load(tmp_path / "a").records)]["run"].eq("a").all()
    assert results.summary["policy"].tolist() == ["qsgd", "topk"]
    assert results.summary["seed"].tolist() == [3, 4]
    assert results.summary["billed_bytes_factor"].tolist() == [1, 1]
    assert results.settings["fleet.uplink.trace"].tolist() == ["traces/a.csv"] * 2


def test_a_single_run_is_called_by_its_label(tmp_path):
    write_made(tmp_path / "one", "qsgd")
    assert load(tmp_path / "one").summary["run"].tolist() == ["qsgd"]


def test_labels_of_all_runs_stand_in_one_table(tmp_path):
    for seed in (0, 1):
        write_made(tmp_path / f"at-{seed}", seed=seed, target__window=2)
    results = load(tmp_path)
    labels = results.labels
    assert labels[["run", "policy", "seed", "label"]].values.tolist() == [
        ["at-0", "float16", 0, "en"], ["at-0", "float16", 0, "fi"],
        ["at-1", "float16", 1, "en"], ["at-1", "float16", 1, "fi"],
    ]  # fmt: skip
    # "en" is as good as the whole, which the summary has without a window.
    assert labels["final_accuracy"].tolist()[::2] == results.summary["final_accuracy"].tolist()
    whole = results.summary["rounds_to_target"]
    assert (labels["rounds_to_target"].to_numpy()[::2] >= whole.to_numpy()).all()
    for at, run in enumerate(results.runs):
        alone = measure_by_label(run.evaluations, TARGET, window=2)
        assert labels["rounds_to_target"].tolist()[2 * at : 2 * at + 2] == (
            alone["rounds_to_target"].tolist()
        )


def test_a_comparison_keeps_its_order_and_hidden_folders_are_left_out(tmp_path):
    for policy in ("a", "b", "c"):
        write_made(tmp_path / "seed0" / policy, policy)
    write_made(tmp_path / ".seed1-half" / "a", "a")
    (tmp_path / "seed0" / "comparison.csv").write_text("policy\nc\na\nb\n")
    assert [run.label for run in load_runs(tmp_path / "seed0")] == ["c", "a", "b"]
    assert load(tmp_path).summary["run"].tolist() == ["seed0/c", "seed0/a", "seed0/b"]


def test_a_comparison_of_several_seeds_is_one_series_a_policy(tmp_path):
    for policy in ("qsgd:bits=2", "topk"):
        for seed in (0, 1):
            write_made(tmp_path / f"{policy.replace(':', '-')}-seed={seed}", policy, seed)
    rows = "policy,seed\ntopk,0\nqsgd:bits=2,0\ntopk,1\nqsgd:bits=2,1\n"
    (tmp_path / "comparison.csv").write_text(rows)
    series = load(tmp_path).series
    assert series["series"].tolist() == ["topk", "qsgd:bits=2"] * 2
    assert series["seed"].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n"])
def test_a_damaged_comparison_is_told(tmp_path, content):
    (tmp_path / "comparison.csv").write_text(content)
    with pytest.raises(OutputError, match=r"comparison\.csv: cannot be read"):
        load_runs(tmp_path)


def test_version_1_is_migrated(tmp_path):
    folder = write_made(tmp_path / "old")
    rewrite_summary(folder, schema=1)
    table = pd.read_parquet(folder / "evaluations.parquet").drop(columns="perplexity")
    table["loss"] = math.log(6)
    table.to_parquet(folder / "evaluations.parquet", index=False)
    evaluations = load(folder).evaluations
    assert evaluations["perplexity"].to_numpy() == pytest.approx(6)
    assert evaluations.columns.tolist() == [*IDENTITY, *EVALUATION_TYPES]


def test_a_perplexity_that_version_1_measured_is_kept(tmp_path):
    folder = write_made(tmp_path / "old")
    rewrite_summary(folder, schema=1)
    table = pd.read_parquet(folder / "evaluations.parquet").assign(perplexity=7.0)
    table.to_parquet(folder / "evaluations.parquet", index=False)
    assert load(folder).evaluations["perplexity"].eq(7).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary.json", '{"schema": 3}', "found results of version 3, allowed are 1, 2"),
        ("summary.json", "[]", "found a list in summary.json"),
        ("records.parquet", "PAR1 not really", "cannot be read"),
        ("evaluations.parquet", None, "cannot be read"),
        ("scenario.yaml", "name: made\n", "found no line 'seed: NUMBER'"),
        ("scenario.yaml", "seed: 1\nname: {", "cannot be read"),
    ],
)
def test_damage_is_told_in_one_line(tmp_path, name, content, message):
    folder = write_made(tmp_path / "run")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(OutputError, match=message) as told:
        read_all(folder)
    assert "\n" not in str(told.value)
    assert str(folder) in str(told.value)


def read_all(folder):
    results = load(folder)
    return results.records, results.evaluations, results.summary, results.settings


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(OutputError, match=r"found no summary\.json in it or below it"):
        load(tmp_path)
    with pytest.raises(OutputError, match=r"found no summary\.json in it or below it"):
        load(tmp_path / "absent")


def test_runs_that_differ_by_their_seed_alone_are_one_series(tmp_path):
    for seed in (0, 1):
        write_made(tmp_path / f"a{seed}", "qsgd", seed)
        write_made(tmp_path / f"b{seed}", "qsgd", seed, fleet__uplink__trace="traces/bus.csv")
    series = load(tmp_path).series.set_index("run")["series"]
    assert series["a0"] == series["a1"] == "qsgd, trace=a.csv"
    assert series["b0"] == series["b1"] == "qsgd, trace=bus.csv"


def test_keys_are_told_apart_by_their_last_parts():
    keys = ["fleet.uplink.trace", "fleet.downlink.trace", "server.aggregation", "trace"]
    assert list(shortened(keys).values()) == [
        "uplink.trace",
        "downlink.trace",
        "aggregation",
        "trace",
    ]


def test_metrics_that_no_run_has_are_empty_numbers(tmp_path):
    write_made(tmp_path / "never", pace=0.01)
    summary = load(tmp_path).summary
    assert summary["time_to_target_s"].dtype == np.float64
    assert summary["time_to_target_s"].isna().all()


def test_a_thousand_summaries_are_read_quickly(tmp_path):
    made = write_made(tmp_path / "0000")
    texts = {name: (made / name).read_text() for name in ("summary.json", "scenario.yaml")}
    for at in range(1, 1000):
        folder = tmp_path / f"{at:04}"
        folder.mkdir()
        for name, text in texts.items():
            (folder / name).write_text(text)
    began = time.process_time()
    assert len(load(tmp_path).summary) == 1000
    # 2 s is promised; the machine may be shared.
    assert time.process_time() - began < 2 * 3


def test_what_is_written_is_of_the_present_version(tmp_path):
    folder = write_made(tmp_path / "run")
    assert json.loads((folder / "summary.json").read_text())["schema"] == 2


def test_a_path_is_written_by_its_name_and_a_rate_as_it_is():
    assert in_words("traces/lte.csv") == "lte.csv"
    assert in_words("/data/B/stops.csv") == "stops.csv"
    assert in_words("187500.0 B/s") == "187500.0 B/s"
    assert in_words("lognormal(1 Mbit/s, 0.8)") == "lognormal(1 Mbit/s, 0.8)"
    assert in_words(None) == in_words(float("nan")) == "none"
    assert in_words(0.5) == "0.5"
