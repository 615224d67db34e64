import json

import pytest

from fsim.audit.experiments import LANGUAGES
from fsim.audit.measured import MEASURED_FILE, measurements_of, read_measured, write_measured
from fsim.audit.presentation import sections
from fsim.core.errors import OutputError
from fsim.experiments.run import run_to_folder
from tests.results.made import rewrite_summary, write_made

PAYLOAD = 1000


@pytest.fixture
def runs(tmp_path):
    """Two seeds of float16 and one of fstq of the round breakdown, and a run of something else."""
    top = tmp_path / "runs"
    for policy, seed in (("float16", 0), ("float16", 1), ("fstq", 0)):
        folder = write_made(top / "breakdown" / f"{policy}-{seed}", policy, seed, payload=PAYLOAD)
        rewrite_summary(folder, name="fed-fstq-round-breakdown")
    write_made(top / "other")
    return top


def test_series_of_an_experiment(runs):
    first, second = measurements_of(runs)
    assert (first.experiment, first.series, first.seeds) == ("round-breakdown", "float16", 2)
    assert (second.series, second.seeds) == ("fstq", 1)
    assert first.values["payload"] == PAYLOAD
    assert first.values["compute"] == 2.0  # as the made runs have it
    assert not any(name.startswith("accuracy ") for name in first.values)


def test_means_are_over_seeds_that_have_a_value(runs):
    first, second = measurements_of(runs)
    summaries = [
        json.loads((runs / "breakdown" / f"float16-{seed}" / "summary.json").read_text())
        for seed in (0, 1)
    ]
    accuracies = [summary["metrics"]["final_accuracy"] for summary in summaries]
    assert first.values["final_accuracy"] == pytest.approx(sum(accuracies) / 2, rel=1e-6)
    assert first.reached == sum(s["metrics"]["time_to_target_s"] is not None for s in summaries)
    # Nobody is lost, so a round is its slowest client: 1 s down, 2 s of work, the longest upload.
    assert second.values["round"] == pytest.approx(second.values["slowest"], rel=1e-6)
    assert second.values["slowest"] > 3 + second.values["upload"]


def test_a_client_that_was_lost_prolongs_the_round_alone(tmp_path):
    folder = write_made(tmp_path / "runs", lost=(1, 2), rounds=1)
    rewrite_summary(folder, name="fed-fstq-dropout")
    (only,) = measurements_of(tmp_path / "runs")
    assert only.values["round"] == 33  # as the made runs have it: 3 s, then 30 s in vain
    assert only.values["slowest"] < 33
    assert only.values["compute"] == 2


def test_energy_is_of_a_client_and_round(runs):
    first, _ = measurements_of(runs)
    # 1 J down, 8 J of work, 2 W of sending, whose median is 2 s: more than 9 J.
    assert 9 < first.values["energy"] < 30


def test_the_same_scenario_twice_is_one_run(runs):
    folder = write_made(runs / "again", "float16", 0, payload=PAYLOAD)
    rewrite_summary(folder, name="fed-fstq-round-breakdown")
    assert measurements_of(runs)[0].seeds == 2


def test_languages_are_told_apart(tmp_path):
    folder = write_made(tmp_path / "runs")
    rewrite_summary(folder, name="fed-fstq-languages")
    (only,) = measurements_of(tmp_path / "runs")
    assert {"label_accuracy en", "label_accuracy fi"} <= set(only.values)
    # Of the whole run's curve "en" is a copy, and "fi" its square.
    for name in ("time_to_target", "uplink_to_target"):
        assert only.values[f"label_{name} en"] == only.values[name]
        assert only.values[f"label_{name} fi"] > only.values[name]
    assert only.values["label_accuracy en"] == only.values["final_accuracy"]
    (whole, *by_label) = next(
        each.measured for each in sections([only]) if each.experiment == LANGUAGES
    )
    assert not any("label" in head for head in whole.heads)
    assert [grid.heads for grid in by_label] == [
        (f"{figure}, by label", "float16")
        for figure in ("time to target", "uplink to target", "accuracy")
    ]
    accuracy = only.values["final_accuracy"]
    assert by_label[-1].rows == (("en", f"{accuracy:.1%}"), ("fi", f"{accuracy**2:.1%}"))


def test_series_of_like_settings_stand_together_in_their_order(tmp_path):
    for at, (policy, rate) in enumerate(
        (policy, rate) for policy in ("b", "a") for rate in ("10 kbit/s", "9 kbit/s")
    ):
        folder = write_made(tmp_path / "runs" / str(at), policy, fleet__uplink__rate=rate)
        rewrite_summary(folder, name="fed-fstq-dropout")
    assert [each.series for each in measurements_of(tmp_path / "runs")] == [
        "b, rate=9 kbit/s", "a, rate=9 kbit/s", "b, rate=10 kbit/s", "a, rate=10 kbit/s",
    ]  # fmt: skip


def test_kept_and_read_again(runs, tmp_path):
    path = tmp_path / "kept.json"
    write_measured(path, measurements_of(runs))
    assert read_measured(path) == read_measured(runs)


def test_what_is_kept_with_the_package_can_be_read():
    assert MEASURED_FILE.is_file()
    read_measured()


def test_other_runs_only(tmp_path):
    write_made(tmp_path / "runs")
    with pytest.raises(OutputError, match="found 1 runs, allowed are those named fed-fstq-round"):
        measurements_of(tmp_path / "runs")


def test_a_run_that_failed_is_not_passed_over(tmp_path):
    folder = write_made(tmp_path / "runs", status="failed")
    rewrite_summary(folder, name="fed-fstq-dropout")
    with pytest.raises(OutputError, match="did not come to its end"):
        measurements_of(tmp_path / "runs")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 1}', '{"schema": 1, "measured": [{"x": 1}]}',
             '{"schema": 1, "measured": 3}', '{"schema": 9, "measured": []}', "\x00"],
)  # fmt: skip
def test_a_damaged_file(tmp_path, text):
    path = tmp_path / "measured.json"
    path.write_text(text)
    with pytest.raises(OutputError, match=r"measured\.json: found"):
        read_measured(path)


def test_a_file_whose_figures_are_none(runs, tmp_path):
    path = tmp_path / "measured.json"
    write_measured(path, measurements_of(runs))
    path.write_text(path.read_text().replace('"values": {', '"values": 3, "other": {'))
    with pytest.raises(OutputError, match="found no measurements"):
        read_measured(path)


def test_no_such_place(tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        read_measured(tmp_path / "nowhere")


def test_token_recall_is_read_from_the_records(tiny, tmp_path):
    policy = {"policy": "fstq", "refresh_every": 2, "recall": 0.5}
    name = {"name": "fed-fstq-token-recall"}
    run_to_folder(tiny(**name, compression=policy), tmp_path / "runs" / "a", "with")
    plain = {"policy": "fstq", "refresh_every": 2}
    run_to_folder(tiny(**name, compression=plain), tmp_path / "runs" / "b", "without")
    measured = {each.series: each.values for each in measurements_of(tmp_path / "runs")}
    assert 0 < measured["with"]["token_recall"] <= 1
    assert measured["without"]["token_recall"] is None
    # What is measured changes nothing that is trained.
    assert measured["with"]["tokens_kept"] == measured["without"]["tokens_kept"] < 1


def test_memory_is_read_from_the_summary(tiny, tmp_path):
    alone = {"training__cohort_width": 1, "training__measure_memory": True}
    run_to_folder(tiny(name="fed-fstq-peak-memory", **alone), tmp_path / "runs" / "a", "float16")
    write_made(tmp_path / "runs" / "b")
    rewrite_summary(tmp_path / "runs" / "b", name="fed-fstq-peak-memory")
    measured, other = (each.values for each in measurements_of(tmp_path / "runs"))
    # More than nano's 1,377,408 float32 weights; a payload of at least two bytes a coordinate.
    assert measured["training_memory"] > 4 * 1_377_408
    assert measured["encoding_memory"] >= measured["payload"]
    assert other["training_memory"] is other["encoding_memory"] is None
    assert set(measured) == {"payload", "training_memory", "encoding_memory"}
