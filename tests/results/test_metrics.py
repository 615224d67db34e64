import pandas as pd
import pytest

from fsim.records import Kind, Recorder
from fsim.results.comparison import COLUMNS, comparison_table
from fsim.results.metrics import LABEL_COLUMNS, measure, measure_by_label

ACCURACY = [0.0, 0.5, 0.2, 0.45, 0.5, 0.6]


def recorder(accuracies=ACCURACY):
    recorder = Recorder()
    recorder.evaluation(0.0, 0, accuracies[0], 1.0, 2.7)
    for number, accuracy in enumerate(accuracies[1:], 1):
        recorder.record(Kind.UPLOAD, 0, 1, 0, number, size=100 * number, energy=2.0)
        recorder.record(Kind.RECEIVE, 0, 0, 0, number, size=100 * number)
        recorder.evaluation(10.0 * number, number, accuracy, 1.0, 2.7)
    recorder.record(Kind.LOST, 0, 0, 1, 1)
    return recorder


def metrics(target, accuracies=ACCURACY):
    source = recorder(accuracies)
    return measure(source.records(), source.evaluations(), target)


def test_metrics_worked_by_hand():
    reached = metrics(0.4)
    assert reached.time_to_target_s == 10.0
    # Means of three: -, -, .233, .383, .383, .517.
    assert reached.time_to_target_smoothed_s == 50.0
    assert reached.rounds_to_target == 1
    assert reached.uplink_bytes_to_target == 100
    assert reached.energy_to_target_j == 2.0
    assert reached.final_accuracy == reached.best_accuracy == 0.6
    assert reached.mean_payload_bytes == 300
    assert (reached.simulated_s, reached.uplink_bytes, reached.energy_j) == (50.0, 1500, 10.0)
    assert reached.dropouts == 1


def test_a_window_asks_for_the_mean_of_so_many_evaluations():
    source = recorder(ACCURACY)
    tables = source.records(), source.evaluations()
    # Means of two: -, .25, .35, .325, .475, .55.
    assert measure(*tables, 0.4, window=2).rounds_to_target == 4
    assert measure(*tables, 0.6, window=2).rounds_to_target is None
    three = measure(*tables, 0.4, window=3)
    assert three.time_to_target_s == three.time_to_target_smoothed_s == 50.0
    assert measure(*tables, 0.1, window=7).rounds_to_target is None


def labelled(*shares):
    source = Recorder()
    for number, own in enumerate(shares):
        if number:
            source.record(Kind.UPLOAD, 0, 1, 0, number, size=100, energy=2.0)
        source.evaluation(10.0 * number, number, 0.9, 1.0, 2.7, by_label=own)
    return source.evaluations()


def test_each_label_reaches_the_target_for_itself():
    shares = [
        {"a": 0.1, "b": 0.0},
        {"a": 0.5, "b": 0.4},
        {"a": 0.5, "b": 0.1},
        {"a": 0.4, "b": 0.3},
    ]
    table = measure_by_label(labelled(*shares), 0.5).set_index("label")
    assert table.loc["a"].to_dict() == {
        "final_accuracy": 0.4, "best_accuracy": 0.5, "time_to_target_s": 10.0,
        "rounds_to_target": 1.0, "uplink_bytes_to_target": 100.0, "energy_to_target_j": 2.0,
    }  # fmt: skip
    assert table.loc["b", ["final_accuracy", "best_accuracy"]].tolist() == [0.3, 0.4]
    assert table.loc["b"].isna().sum() == 4
    # Means of two: a .3, .5, .45; b .2, .25, .2.
    windowed = measure_by_label(labelled(*shares), 0.25, window=2).set_index("label")
    assert windowed["rounds_to_target"].tolist() == [1, 2]


def test_a_label_that_is_not_told_is_not_at_the_target():
    table = measure_by_label(labelled({"a": 0.9}, {"b": 0.9}, {"a": 0.9, "b": 0.9}), 0.5)
    assert table["rounds_to_target"].tolist() == [0, 1]
    table = measure_by_label(labelled({"a": 0.9}, {"b": 0.9}, {"a": 0.9, "b": 0.9}), 0.5, window=2)
    assert table["rounds_to_target"].isna().tolist() == [True, False]


def test_without_labels_there_is_no_row():
    table = measure_by_label(recorder().evaluations(), 0.5)
    assert len(table) == 0
    assert tuple(table) == LABEL_COLUMNS


def test_a_target_never_reached_is_empty():
    never = metrics(0.7)
    assert never.time_to_target_s is None
    assert never.time_to_target_smoothed_s is None
    assert never.uplink_bytes_to_target is None
    assert never.rounds_to_target is None
    assert never.energy_to_target_j is None
    assert never.best_accuracy == 0.6


def test_comparison_takes_ratios_and_leaves_the_unreached_empty():
    fast, slow = metrics(0.4), metrics(0.4, [0, 0.1, 0.1, 0.1, 0.41, 0.6])
    never = metrics(0.4, [0, 0.1, 0.1, 0.1, 0.1, 0.1])
    summaries = {
        label: {"metrics": m.as_dict(), "status": "completed"}
        for label, m in {"slow": slow, "fast": fast, "never": never}.items()
    }
    table = comparison_table(summaries, "slow").set_index("policy")
    assert ["policy", *table.columns] == list(COLUMNS)
    assert table.loc["fast", "time_to_target_ratio"] == 0.25
    assert table.loc["fast", "uplink_to_target_ratio"] == pytest.approx(100 / 1000)
    assert table.loc["slow", "rounds_to_target_ratio"] == 1
    assert table.loc["never"].isna().sum() == 9
    assert pd.isna(comparison_table(summaries, "never")["time_to_target_ratio"]).all()


def test_empty_cells_survive_the_file(tmp_path):
    summaries = {"never": {"metrics": metrics(0.9).as_dict(), "status": "completed"}}
    path = tmp_path / "comparison.csv"
    comparison_table(summaries, "never").to_csv(path, index=False)
    assert ",,,,,0.6," in path.read_text()
