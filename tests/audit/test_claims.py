"""What the paper claims beside what came out here."""

import json

import pytest

from fsim.audit.claims import claims
from fsim.audit.experiments import (
    ALPHA,
    CLIENTS,
    DROPOUT,
    EXPERIMENTS,
    INFERENCE,
    LOSS,
    ROUND,
    TIME,
)
from fsim.audit.measured import LATE, Measurement, measurements_of
from fsim.audit.presentation import claims_grid, to_data, to_markdown
from fsim.audit.speed_up import read_inference
from fsim.results.loading import load
from tests.results.made import rewrite_summary, write_made


def series(experiment, name, **values):
    return Measurement(experiment.key, name, "nano", 1, 1, 1.0, 1.0, values)


def of(measured, experiment, part="", inference=()):
    """What is published and what was measured, of the claims that say so."""
    return [
        (pytest.approx(each.published, abs=0.005), each.here)
        for each in claims(measured, inference)
        if each.experiment == experiment and part in each.what
    ]


def test_nothing_measured_is_told_as_nothing():
    found = claims([], [])
    assert {each.here for each in found} == {None}
    assert {each.experiment.key for each in found} < {each.key for each in EXPERIMENTS}
    assert all(row[-1] == "-" for row in claims_grid([]).rows if row[0] != INFERENCE.title)


def test_ratios_are_fedavgs_over_fed_fstqs():
    measured = [
        series(ROUND, "float16", payload=80.0, round=20.0, energy=9.0),
        series(ROUND, "fstq", payload=10.0, round=16.0, energy=None),
        series(ROUND, "qsgd", payload=1.0, round=1.0, energy=1.0),
        series(TIME, "float16", time_to_target=30.0),
        series(TIME, "fstq", time_to_target=40.0),
    ]
    assert of(measured, ROUND) == [(6.67, 8.0), (6.16, 1.25), (6.44, None)]
    assert of(measured, TIME) == [(2.1, 0.75)]


def test_a_series_is_found_by_what_tells_it_from_others():
    measured = [
        series(CLIENTS, f"{policy}, clients={count}", time_to_target=seconds)
        for policy, count, seconds in (
            ("float16", 10, 40.0), ("fstq", 10, 20.0), ("float16", 100, None), ("fstq", 100, 9.0),
        )
    ]  # fmt: skip
    assert of(measured, CLIENTS) == [(3.47, 2.0), (3.27, None), (3.40, None)]


def test_accuracies_are_compared_in_points():
    alphas = [
        series(ALPHA, f"{policy}, alpha={alpha}", late_accuracy=share)
        for policy, alpha, share in (
            ("float16", "0.1", 0.5), ("fstq", "0.1", 0.4),
            ("float16", "1", 0.7), ("fstq", "1", 0.8),
        )
    ]  # fmt: skip
    assert of(alphas, ALPHA) == [
        (33.39, pytest.approx(-10)), (13.63, None), (9.87, pytest.approx(10)),
    ]  # fmt: skip
    lossy = [
        series(LOSS, f"fstq, kind={kind}, loss={loss}", late_accuracy=share)
        for kind, loss, share in (("datagram", "0", 0.6), ("datagram", "0.2", 0.4), ("arq", 0, 0.6))
    ]
    assert of(lossy, LOSS, "Fed-FSTQ") == [
        (-8.1, pytest.approx(-20)), (-8.1, None), (-8.1, None),
    ]  # fmt: skip
    fewer = [
        series(DROPOUT, f"float16, probability={probability}", late_accuracy=share)
        for probability, share in (("0", 0.6), ("0.3", 0.6), ("0.7", 0.35))
    ]
    assert of(fewer, DROPOUT, "FedAvg") == [(-5, 0), (-15, None), (-40, pytest.approx(-25))]


def test_inference_is_told_by_what_loses_least():
    rows = [
        {"method": "random", "points_lost": 0.0, "speed_up": 9.0},
        {"method": "fisher-head", "points_lost": 1.5, "speed_up": 1.5},
        {"method": "fisher-head", "points_lost": 1.5, "speed_up": 1.7},
        {"method": "fisher-head", "points_lost": 3.0, "speed_up": 2.0},
    ]
    (claim,) = of([], INFERENCE, "1.5 points", [{"measured": rows[:2]}, {"measured": rows[2:]}])
    assert claim == (1.55, 1.7)
    ((_, kept),) = of([], INFERENCE, "speed-up", read_inference())
    assert kept > 1


def test_it_is_in_the_document_and_in_the_data(tmp_path):
    for policy, payload in (("float16", 4000), ("fstq", 1000)):
        folder = write_made(tmp_path / "runs" / policy, policy, payload=payload)
        rewrite_summary(folder, name="fed-fstq-round-breakdown")
    measured = measurements_of(tmp_path / "runs")
    assert "| A round in profile A | payload, ratio | 6.67 | 4.00 |" in to_markdown(measured)
    data = json.loads(json.dumps(to_data(measured)))
    assert {"experiment": "round-breakdown", "claim": "payload, ratio", "published": 6.67,
            "here": 4.0} in data["claims"]  # fmt: skip


def test_late_accuracy_is_the_mean_of_the_last_evaluations(tmp_path):
    for name, rounds in (("long", LATE + 2), ("short", LATE - 1)):
        folder = write_made(tmp_path / name, name, rounds=rounds)
        rewrite_summary(folder, name="fed-fstq-dropout")
    measured = {each.series: each.values for each in measurements_of(tmp_path)}
    accuracies = load(tmp_path / "long").evaluations["accuracy"].tolist()
    assert len(accuracies) == LATE + 3
    assert measured["long"]["late_accuracy"] == pytest.approx(sum(accuracies[3:]) / LATE)
    assert measured["short"]["late_accuracy"] is None
