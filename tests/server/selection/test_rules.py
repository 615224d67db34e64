"""What every selection rule keeps to."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.core.rng import stream
from fsim.server.selection import SELECTORS, make_selector, uniform


@st.composite
def fleets(draw):
    """Sizes, who has answered with which loss and in what time, and who is available."""
    count = draw(st.integers(1, 30))
    sizes = draw(st.lists(st.integers(1, 10**6), min_size=count, max_size=count))
    answer = st.tuples(
        st.integers(0, count - 1), st.none() | st.floats(0, 1e4), st.floats(1e-3, 1e6)
    )
    answers = draw(st.lists(answer, max_size=40))
    available = sorted(draw(st.sets(st.integers(0, count - 1))))
    return sizes, answers, available


def prepared(name, sizes, answers=()):
    selector = make_selector(name, {})
    for client, size in enumerate(sizes):
        selector.register(client, examples=size)
    for round_number, (client, loss, seconds) in enumerate(answers, start=1):
        selector.observe(client, round_number, loss=loss, examples=sizes[client], seconds=seconds)
    return selector


@pytest.mark.parametrize("name", SELECTORS)
@settings(deadline=None)
@given(fleets(), st.integers(0, 35), st.integers(1, 10**6), st.integers(0, 2**32))
def test_different_available_clients_as_many_as_asked(name, fleet, count, round_number, seed):
    sizes, answers, available = fleet
    selector = prepared(name, sizes, answers)
    chosen = selector.select(round_number, available, count, np.random.default_rng(seed))
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(available)
    assert len(chosen) == min(count, len(available))
    assert all(type(client) is int for client in chosen)


@pytest.mark.parametrize("name", SELECTORS)
@settings(deadline=None)
@given(fleets(), st.integers(1, 10), st.integers(0, 2**32))
def test_the_same_stream_chooses_the_same(name, fleet, count, seed):
    sizes, answers, available = fleet
    selector = prepared(name, sizes, answers)
    chosen = [
        one.select(3, available, count, stream(seed, "server.selection", 3))
        for one in (copy.deepcopy(selector), selector)
    ]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("name", SELECTORS)
def test_a_range_is_as_good_as_a_list(name):
    sizes = range(1, 41)
    answers = [(client, client % 3 + 0.5, client + 1.0) for client in range(0, 40, 2)]
    chosen = [
        prepared(name, sizes, answers).select(25, available, 7, np.random.default_rng(8))
        for available in (range(40), list(range(40)), np.arange(40))
    ]
    assert chosen[0] == chosen[1] == chosen[2]


@pytest.mark.parametrize("name", SELECTORS)
def test_among_equals_everyone_is_reached(name):
    selector = prepared(name, [10] * 8)
    reached = set()
    for round_number in range(1, 201):
        rng = stream(1, "server.selection", round_number)
        for client in selector.select(round_number, range(8), 2, rng):
            reached.add(client)
            selector.observe(client, round_number, loss=1.0, examples=10, seconds=5.0)
    assert reached == set(range(8))


@pytest.mark.parametrize("name", SELECTORS)
def test_bad_input_is_refused(name):
    selector = prepared(name, [5])
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="count: found -1"):
        selector.select(1, [0], -1, rng)
    with pytest.raises(ValueError, match="client 3: found 0 examples, allowed is 1 or more"):
        selector.register(3, examples=0)
    with pytest.raises(ValueError, match=r"client 3: found 0\.0 s, allowed is more than 0"):
        selector.register(3, examples=1, seconds=0.0)
    with pytest.raises(ValueError, match="client 0: found a loss of nan"):
        selector.observe(0, 1, loss=float("nan"), examples=1, seconds=1.0)
    with pytest.raises(ValueError, match="client: found -1"):
        selector.register(-1, examples=1)
    with pytest.raises(ValueError, match="unknown key"):
        make_selector(name, {"colour": 1})


@pytest.mark.parametrize("name", ["data-size", "power-of-choice"])
def test_rules_by_size_need_the_sizes(name):
    with pytest.raises(ValueError, match="client 2 has not registered its examples"):
        prepared(name, [5, 5]).select(1, [0, 2], 1, np.random.default_rng(0))


def test_uniform_takes_different_clients_each_equally_often():
    rng = np.random.default_rng(0)
    cohorts = [uniform(20, 5, rng) for _ in range(4000)]
    assert all(len(set(cohort)) == 5 and cohort == sorted(cohort) for cohort in cohorts)
    counts = np.bincount(np.concatenate(cohorts), minlength=20)
    assert counts.min() > 900
    assert counts.max() < 1100


@given(st.integers(1, 300), st.integers(0, 2**32), st.data())
def test_uniform_draws_from_the_stream_as_it_always_did(clients, seed, data):
    count = data.draw(st.integers(1, clients))
    expected = sorted(stream(seed, "s").choice(clients, size=count, replace=False).tolist())
    assert uniform(clients, count, stream(seed, "s")) == expected
    chosen = make_selector("uniform", {}).select(1, range(clients), count, stream(seed, "s"))
    assert chosen == expected
