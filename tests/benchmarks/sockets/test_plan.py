"""The runs that the twin draws, and what it makes of the seconds."""

import pytest

from benchmarks.sockets.__main__ import HIGHEST, MEDIAN, excess, meets, report
from benchmarks.sockets.plan import draw_cases
from benchmarks.sockets.recorded import Recording, Round, Upload
from benchmarks.sockets.stacks import STACKS, Comparison, Flower
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
    comparison = Comparison(case, "TCP", (ours, ours), measured, ((0.5, 0.5),))
    assert comparison.pairs == [(ours, 1.0), (ours, 1.0)]
    assert comparison.spread == pytest.approx(0.04)
    _, figures = report([comparison])
    (told,) = figures.values()
    assert meets(told) is met
    assert told["error_of_a_sum_largest"] == pytest.approx(abs(ours - 1))
    assert told["rounds"] == 2


def test_stacks_have_figures_of_their_own():
    case = draw_cases(1, 2, seed=0)[0]
    exact = Comparison(case, "TCP", (1.0,), ((1.0,),), ((0.5, 0.5),))
    wrong = Comparison(case, "Flower", (2.0,), ((1.0,),), ((0.5, 0.5),))
    _, figures = report([exact, wrong])
    assert {name: meets(each) for name, each in figures.items()} == {"TCP": True, "Flower": False}


def test_what_a_stack_is_told_to_fsim_is_a_scenario():
    for case in draw_cases(20, 3, seed=5):
        for stack in STACKS:
            scenario = stack.settings(case.scenario, 1e6)
            name, options = parse_choice("policy", scenario["compression"]["policy"])
            settings = as_loaded({**scenario, "compression": {"policy": name, **options}}).scenario
            if stack.name == "TCP, FIFO":
                doors = (settings.server.ingress, settings.server.egress)
                queues = (settings.server.ingress_queue, settings.server.egress_queue)
                assert stack.can_play(case) == any(door is not None for door in doors)
                # A queue at every door, and nowhere else.
                expected = tuple(None if door is None else 1e6 for door in doors)
                assert queues == expected


def test_flower_is_compared_where_every_client_is_connected(tmp_path):
    def round_of(number, *clients):
        uploads = tuple(Upload(client, tmp_path, 0.0, False) for client in clients)
        return Round(number, 100, uploads, 0.0)

    rounds = (round_of(1, 0, 1), round_of(2, 1, 2), round_of(3, 0, 2), round_of(4, 1, 2))
    assert Flower().compares(Recording({}, None, None, 2, None, rounds)) == [2, 3]
