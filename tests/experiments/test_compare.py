"""Comparisons over several seeds."""

import pandas as pd
import pytest

from fsim.experiments.compare import compare
from fsim.experiments.engines import registry as engines
from fsim.results.comparison import COLUMNS


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(engines, "Processes", lambda count: engines.Here())


def test_several_seeds_have_a_row_each_and_statistics(tiny, tmp_path):
    out, told = tmp_path / "out", set()
    table = compare(
        tiny(protocol__rounds=1, target__value=0.001, evaluation__examples=60),
        "float16,topk", out, "float16", 1,
        lambda name, progress: told.add(name), seeds=[3, 4],
    )  # fmt: skip
    assert list(table.columns) == [COLUMNS[0], "seed", *COLUMNS[1:]]
    assert table[["policy", "seed"]].to_numpy().tolist() == [
        ["float16", 3], ["topk", 3], ["float16", 4], ["topk", 4],
    ]  # fmt: skip
    assert told == {f"{policy}:seed={seed}" for policy in ("float16", "topk") for seed in (3, 4)}
    for name in told:
        scenario = (out / name.replace(":", "-") / "scenario.yaml").read_text()
        assert f"seed: {name[-1]}\n" in scenario
    # Each seed's ratios are to the baseline of the same seed.
    payload = table.set_index(["policy", "seed"])["mean_payload_bytes"]
    ratio = table.set_index(["policy", "seed"])["mean_payload_ratio"]
    assert ratio["topk", 4] == pytest.approx(payload["topk", 4] / payload["float16", 4])
    statistics = pd.read_csv(out / "statistics.csv").set_index(["policy", "metric"])
    found = statistics.loc[("topk", "mean_payload_bytes")]
    assert (found["seeds"], found["pairs"]) == (2, 2)
    assert found["mean"] == pytest.approx((payload["topk", 3] + payload["topk", 4]) / 2)


def test_one_seed_is_a_plain_comparison(tiny, tmp_path, stub_runs, monkeypatch):
    out, choices = tmp_path / "out", "float16,topk"
    zeros = dict.fromkeys(COLUMNS[1:-1], None)
    from fsim.experiments import jobs

    stub = jobs.run_to_folder

    def full(*arguments, **options):
        summary = stub(*arguments, **options)
        return {**summary, "metrics": {**zeros, **summary["metrics"]}}

    monkeypatch.setattr(jobs, "run_to_folder", full)
    table = compare(tiny(), choices, out, "float16", 1, seeds=[7])
    assert list(table.columns) == list(COLUMNS)
    assert stub_runs == ["float16", "topk"]
    assert {path.name for path in out.iterdir()} == {
        "comparison.csv", "float16", "fsim-manifest.json", "topk",
    }  # fmt: skip
