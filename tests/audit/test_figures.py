import re
from decimal import Decimal
from pathlib import Path

import pytest

from fsim.audit import published as paper
from fsim.audit.checks import Verdict, agree, number
from fsim.audit.experiments import EXPERIMENTS
from fsim.audit.figures import published_figures, table_powers

REFERENCE = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "fed_fstq.md"


def check_of(subject, quantity, experiment="round-breakdown"):
    (only,) = [
        each
        for each in published_figures()
        if (each.experiment, each.subject, each.quantity) == (experiment, subject, quantity)
    ]
    return only


def test_a_figure_agrees_to_the_digits_it_is_published_with():
    assert agree(Decimal("6.67"), Decimal("6.6666667")) is Verdict.CONSISTENT
    assert agree(Decimal("2.1"), Decimal("2.0833")) is Verdict.CONSISTENT
    assert agree(Decimal("2.10"), Decimal("2.0833")) is Verdict.CONTRADICTORY
    assert agree(Decimal("55.20"), Decimal("61.44")) is Verdict.CONTRADICTORY
    assert agree(Decimal("1024"), Decimal("1024.5")) is Verdict.CONTRADICTORY  # half up: 1025


def test_numbers_as_people_read_them():
    assert number(Decimal("61.440")) == "61.44"
    assert number(Decimal(2068)) == "2068"
    assert number(Decimal("1E+3")) == "1000"
    assert number(Decimal("115.560"), 4) == "115.56"
    assert number(Decimal("6.9000"), 4) == "6.90"
    assert number(Decimal("13.476831"), 4) == "13.4768"
    assert number(Decimal("-8.30")) == "-8.30"
    assert number(None) == "-"


def test_all_baselines_are_consistent_within_their_table():
    for each in published_figures():
        if each.experiment == "round-breakdown" and not each.subject.startswith(paper.FSTQ):
            assert each.verdict is not Verdict.CONTRADICTORY, each


def test_fed_fstqs_row():
    assert table_powers() == (Decimal("1.5"), Decimal(4))
    assert check_of(paper.FSTQ, "communication").implied == Decimal("61.44")
    assert check_of(paper.FSTQ, "total").implied == Decimal("67.29")
    assert check_of(paper.FSTQ, "energy").implied == Decimal("115.56")
    for quantity in ("communication", "total", "energy"):
        assert check_of(paper.FSTQ, quantity).verdict is Verdict.CONTRADICTORY


def test_what_v3_corrects():
    total = check_of(f"{paper.FSTQ} (v3)", "total")
    assert total.verdict is Verdict.CONSISTENT
    assert check_of(f"{paper.FSTQ} (v3)", "total ratio").verdict is Verdict.CONSISTENT
    energy = check_of(f"{paper.FSTQ} (v3)", "energy")
    assert energy.published == Decimal(2) * Decimal("61.44") + 4 * Decimal("5.85")
    assert energy.verdict is Verdict.CONTRADICTORY  # to the baselines' 1.5 W


def test_the_power_sweep():
    for power, energy in zip(("0.1", "0.5", "1", "2", "5"), (60.96, 224.8, 429.6, 839.2, 2068), strict=True):  # fmt: skip  # noqa: E501
        assert float(check_of(paper.FEDAVG, f"{power} W", "transmit-power").implied) == energy
    sweep = [each for each in published_figures() if each.experiment == "transmit-power"]
    consistent = {each.subject for each in sweep if each.verdict is Verdict.CONSISTENT}
    contradictory = {each.subject for each in sweep if each.verdict is Verdict.CONTRADICTORY}
    assert (consistent, contradictory) == ({paper.FEDAVG}, {paper.FSTQ})


def test_the_sweep_of_fed_fstq_has_the_seconds_of_v1s_table():
    row = paper.PER_ROUND[-1]
    for power, energy in zip(paper.TRANSMIT_W, paper.ENERGY_BY_POWER[paper.FSTQ], strict=True):
        assert power * row.communication + 4 * row.compute == energy


def test_outcomes_are_not_checkable():
    keys = ("heterogeneity", "scalability", "packet-loss", "dropout", "inference")
    outcomes = [each for each in published_figures() if each.experiment in keys]
    assert len(outcomes) == 9 + 9 + 10 + 8 + 1
    for each in outcomes:
        assert (each.verdict, each.implied) == (Verdict.NOT_CHECKABLE, None)


def test_every_figure_belongs_to_an_experiment_and_is_told_apart():
    keys = [(each.experiment, each.subject, each.quantity) for each in published_figures()]
    assert len(keys) == len(set(keys))
    assert {key for key, _, _ in keys} <= {experiment.key for experiment in EXPERIMENTS}


@pytest.mark.skipif(not REFERENCE.is_file(), reason="the reference is not on this machine")
def test_every_figure_is_one_of_the_references():
    text = REFERENCE.read_text(encoding="utf-8")
    numbers = {Decimal(each) for each in re.findall(r"(?<![\d.])(?:\d+\.\d+|\.\d+|\d+)", text)}
    percents = {Decimal(each) / 100 for each in re.findall(r"(\d+)%", text)}
    for each in published_figures():
        assert each.published in numbers | percents, each
