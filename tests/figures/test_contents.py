"""What figures and charts show, against values worked out by hand."""

import json

import pandas as pd
import pytest

from fsim.figures.contents.curves import seed_band
from fsim.figures.contents.pareto import front
from fsim.figures.contents.payload import section_means
from fsim.figures.wording import byte_scale, time_scale, wrapped


def evaluations(run, times, shares):
    return pd.DataFrame({"run": run, "time_s": times, "accuracy": shares})


def test_a_band_of_seeds_worked_by_hand():
    table = pd.concat(
        [evaluations("a", [0.0, 10, 20], [0, 0.2, 0.4]), evaluations("b", [0.0, 5, 15], [0, 0, 1])]
    )
    at, mean, low, high = seed_band(table, "time_s", "accuracy")
    assert at.tolist() == [0, 5, 10, 15]
    assert low == pytest.approx([0, 0, 0.2, 0.3])
    assert high == pytest.approx([0, 0.1, 0.5, 1])
    assert mean == pytest.approx([0, 0.05, 0.35, 0.65])


def test_one_seed_is_drawn_as_it_is():
    at, mean, low, high = seed_band(
        evaluations("a", [0.0, 1, 1], [0, 0.5, 0.6]), "time_s", "accuracy"
    )
    assert at.tolist() == [0, 1, 1]
    assert mean.tolist() == low.tolist() == high.tolist() == [0, 0.5, 0.6]


def test_a_pareto_front_worked_by_hand():
    assert front([(3, 9), (1, 5), (2, 4), (2, 6), (4, 9)]) == [(1, 5), (2, 6), (3, 9)]


def test_sections_of_payloads_worked_by_hand():
    details = [{"payload": {"values": 10, "header": 2}}, {"payload": {"values": 20}}, {"other": 1}]
    records = pd.DataFrame(
        {"run": ["a", "b", "b"], "details": [json.dumps(each) for each in details]}
    )
    summary = pd.DataFrame({"run": ["a", "b"], "policy": ["one", "one"]})
    means = section_means(records, summary)
    assert means.columns.tolist() == ["values", "header"]
    assert means.loc["one"].tolist() == [15, 1]


def test_units_worked_by_hand():
    assert time_scale(100) == (1, "s")
    assert time_scale(200) == (60, "min")
    assert time_scale(4 * 3600) == (3600, "h")
    assert byte_scale(2.5e6) == (1e6, "MB")
    assert byte_scale(900) == (1, "B")


def test_long_names_are_broken_where_they_can_be():
    assert wrapped("qsgd:bits=4:bucket=512", 16) == "qsgd:bits=4:\nbucket=512"
    assert wrapped("a name", 16) == "a name"
    assert wrapped("x" * 20, 16) == "x" * 16 + "\n" + "x" * 4
    assert wrapped("", 9) == "(empty)"
