"""The runs that the twin draws, and what it makes of the seconds."""

import pytest

from benchmarks.sockets.__main__ import HIGHEST, MEDIAN, Comparison, excess, report
from benchmarks.sockets.plan import draw_cases
from fsim.core.registry import parse_choice
from fsim.settings.loading import as_loaded


def test_every_run_that_is_drawn_is_a_scenario():
    cases = draw_cases(40, 3, seed=5)
    for case in cases:
        name, options = parse_choice("policy", case.scenario["compression"]["policy"])
        as_loaded({**case.scenario, "compression": {"policy": name, **options}})
    assert {case.fresh for case in cases} == {True, False}
    assert len({case.scenario["protocol"]["kind"] for case in cases}) == 2
    assert len({case.scenario["compression"]["policy"] for case in cases}) > 4


def test_a_seed_draws_the_same_runs():
    assert draw_cases(5, 3, seed=1) == draw_cases(5, 3, seed=1) != draw_cases(5, 3, seed=2)


def test_errors_are_in_units_of_what_is_allowed():
    # 5% of 1 s, 15 ms of 0.1 s.
    assert excess([(1.05, 1.0), (0.13, 0.1)], MEDIAN) == pytest.approx([1, 2])
    assert excess([(1.05, 1.0), (0.13, 0.1)], HIGHEST) == pytest.approx([0.5, 1])


@pytest.mark.parametrize(("ours", "met"), [(1.01, True), (1.2, False), (0.94, False)])
def test_a_target_that_is_missed_is_told(ours, met):
    case = draw_cases(1, 2, seed=0)[0]
    measured = ((0.98, 1.0), (1.0, 1.0), (1.02, 1.0))
    comparison = Comparison(case, "none", (ours, ours), measured, ((0.5, 0.5),))
    assert comparison.pairs == [(ours, 1.0), (ours, 1.0)]
    assert comparison.spread == pytest.approx(0.04)
    _, figures, told = report([comparison])
    assert told is met
    assert figures["error_of_a_sum_largest"] == pytest.approx(abs(ours - 1))
    assert figures["rounds"] == 2
