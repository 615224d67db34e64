"""Each selection rule against numbers worked out by hand."""

import math

import numpy as np
import pytest

from fsim.server.selection import make_selector
from fsim.server.selection.oort import Oort


def shares(selector, clients, count, rounds=6000, round_number=1):
    rng = np.random.default_rng(11)
    chosen = [selector.select(round_number, clients, count, rng) for _ in range(rounds)]
    return np.bincount(np.concatenate(chosen).astype(int), minlength=max(clients) + 1) / rounds


def test_data_size_worked_by_hand():
    selector = make_selector("data-size", {})
    for client in range(3):
        selector.register(client, examples=client + 1)
    # 4 standard errors of 6000 draws are 0.026.
    assert shares(selector, [0, 1, 2], 1) == pytest.approx([1 / 6, 2 / 6, 3 / 6], abs=0.026)
    # Two of three: client 0 at once, after client 1 or after client 2: 1/6 + 2/6/4 + 3/6/3 = 5/12;
    # client 1 is 2/6 + 1/6*2/5 + 3/6*2/3 = 11/15, and all three add up to 2.
    both = [5 / 12, 11 / 15, 2 - 5 / 12 - 11 / 15]
    assert shares(selector, [0, 1, 2], 2) == pytest.approx(both, abs=0.026)


def test_data_size_with_extreme_sizes_still_finds_enough():
    selector = make_selector("data-size", {})
    for client in range(4):
        selector.register(client, examples=1e300 if client == 0 else 1)
    assert selector.select(1, range(4), 4, np.random.default_rng(0)) == [0, 1, 2, 3]
    assert selector.select(1, range(4), 1, np.random.default_rng(0)) == [0]


def test_round_robin_worked_by_hand():
    selector = make_selector("round-robin", {})
    rng = np.random.default_rng(0)
    assert selector.select(1, range(5), 2, rng) == [0, 1]
    # 2 is away: it is passed over until its next turn.
    assert selector.select(2, [0, 1, 3, 4], 2, rng) == [3, 4]
    assert selector.select(3, range(5), 3, rng) == [0, 1, 2]
    # 3, 4, and around to 0.
    assert selector.select(4, range(5), 3, rng) == [0, 3, 4]
    assert selector.select(5, [0, 4], 1, rng) == [4]


def test_fastest_takes_the_shortest_last_duration():
    selector = make_selector("fastest", {})
    for client, seconds in enumerate([30.0, 10.0, 20.0, 40.0]):
        selector.register(client, examples=1, seconds=seconds)
    rng = np.random.default_rng(0)
    assert selector.select(1, range(4), 2, rng) == [1, 2]
    # What was seen counts, not what was estimated.
    selector.observe(1, 1, loss=1.0, examples=1, seconds=100.0)
    assert selector.select(2, range(4), 2, rng) == [0, 2]
    # Client 4 is not known at all, and goes first.
    assert selector.select(3, range(5), 2, rng) == [2, 4]


def test_equals_are_told_apart_by_lot_behind_those_who_are_better():
    selector = make_selector("fastest", {})
    for client, seconds in enumerate([20.0, 20.0, 10.0]):
        selector.register(client, examples=1, seconds=seconds)
    assert shares(selector, range(3), 2) == pytest.approx([0.5, 0.5, 1], abs=0.026)


def test_power_of_choice_takes_the_highest_losses_of_the_candidates():
    selector = make_selector("power-of-choice", {"candidates": 100})
    for client in range(5):
        selector.register(client, examples=10)
    for client, loss in enumerate([1.0, 4.0, 2.0, 3.0]):
        selector.observe(client, 1, loss=loss, examples=10, seconds=1.0)
    rng = np.random.default_rng(0)
    assert selector.select(2, range(4), 2, rng) == [1, 3]
    # Client 4 was never heard: its loss counts as infinite.
    assert selector.select(2, range(5), 2, rng) == [1, 4]
    # The loss last heard is what counts.
    selector.observe(1, 2, loss=0.5, examples=10, seconds=1.0)
    assert selector.select(3, range(4), 2, rng) == [2, 3]


def test_power_of_choice_with_twice_the_candidates_worked_by_hand():
    selector = make_selector("power-of-choice", {"candidates": 2})
    for client, loss in enumerate([1.0, 2.0, 3.0]):
        selector.observe(client, 1, loss=loss, examples=10, seconds=1.0)
    # Two of three equal clients are candidates; 2 wins its two pairs, 1 the one without it.
    assert shares(selector, range(3), 1) == pytest.approx([0, 1 / 3, 2 / 3], abs=0.026)


def test_power_of_choice_of_as_many_candidates_as_wanted_is_data_size():
    one, other = make_selector("power-of-choice", {"candidates": 1}), make_selector("data-size", {})
    for client in range(20):
        one.register(client, examples=client + 1)
        other.register(client, examples=client + 1)
    for seed in range(50):
        chosen = one.select(1, range(20), 6, np.random.default_rng(seed))
        assert chosen == other.select(1, range(20), 6, np.random.default_rng(seed))


def oort(**options):
    """Three clients heard in round 5: utilities 20, 20 and 30, in 10, 20 and 40 s."""
    selector = Oort(**{"clip": 1.0, "preferred": 0.5, **options})
    for client, (examples, loss, seconds) in enumerate([(10, 2, 10), (20, 1, 20), (10, 3, 40)]):
        selector.observe(client, 5, loss=loss, examples=examples, seconds=seconds)
    return selector


def test_oorts_utility_worked_by_hand():
    # T is the median, 20 s: who took 40 counts a quarter, and who took 10 no more than once.
    clients = np.arange(3)
    assert oort().preferred_seconds() == 20
    assert oort().utility(clients, 1).tolist() == [20, 20, 7.5]
    assert oort(alpha=0).utility(clients, 1).tolist() == [20, 20, 30]
    # In round 100 it is sqrt(0.1 ln 100 / 5) = 0.303485 since each was last heard.
    expected = [20.303485, 20.303485, 30.303485 / 4]
    assert oort().utility(clients, 100) == pytest.approx(expected, abs=1e-6)
    # The median is the bound: 30 counts as 20.
    assert oort(clip=0.5, alpha=0).utility(clients, 1).tolist() == [20, 20, 20]


def test_oort_draws_by_utility_above_the_cutoff():
    only = {"exploration": 0, "least_exploration": 0}
    # 0.95 of 20 keeps client 2 out; of one wanted, the two others are as likely.
    assert shares(oort(**only), range(3), 1) == pytest.approx([0.5, 0.5, 0], abs=0.026)
    # A third of 20 lets it in: 20, 20, 7.5 of 47.5.
    wide = shares(oort(**only, cutoff=1 / 3), range(3), 1)
    assert wide == pytest.approx([20 / 47.5, 20 / 47.5, 7.5 / 47.5], abs=0.026)


def test_oort_explores_by_speed():
    selector = Oort()
    for client, seconds in enumerate([10.0, 20.0, 40.0]):
        selector.register(client, examples=1, seconds=seconds)
    # Proportional to 1/10, 1/20 and 1/40; one of unknown speed counts as the median, 20 s.
    assert shares(selector, range(3), 1) == pytest.approx([4 / 7, 2 / 7, 1 / 7], abs=0.026)
    assert shares(selector, range(4), 1) == pytest.approx([4 / 9, 2 / 9, 1 / 9, 2 / 9], abs=0.026)


def test_oorts_share_of_exploration_decays():
    selector = Oort()
    assert selector.epsilon(1) == 0.9
    assert selector.epsilon(2) == pytest.approx(0.882)
    # 0.9 * 0.98^74 is 0.2018, and 0.98 of that is less than 0.2.
    assert selector.epsilon(75) == pytest.approx(0.9 * math.exp(74 * math.log(0.98)))
    assert selector.epsilon(76) == selector.epsilon(10**6) == 0.2


def test_oorts_share_of_exploration_holds_for_one_client_at_a_time():
    # Client 3 is the only one never heard.
    explored = shares(oort(exploration=0.25), range(4), 1)[3]
    assert explored == pytest.approx(0.25, abs=0.026)


def test_oorts_pacer_worked_by_hand():
    selector = Oort(preferred=0.5, pacer_rounds=1, pacer_step=0.25)
    rng = np.random.default_rng(0)

    def play(round_number, loss, seconds):
        selector.select(round_number, range(2), 1, rng)
        client = round_number % 2
        selector.observe(client, round_number, loss=loss, examples=10, seconds=seconds)

    play(1, 2.0, 10.0)
    play(2, 3.0, 20.0)
    # 30 after 20: it is going well, and T stays the median of 20 and 10.
    selector.select(3, range(2), 1, rng)
    assert selector.preferred_seconds() == 15
    selector.observe(1, 3, loss=1.0, examples=10, seconds=10.0)
    # 10 after 30: slower clients are let in, up to three quarters of the way from 10 to 20.
    selector.select(4, range(2), 1, rng)
    assert selector.preferred_seconds() == 17.5
    # Choosing again in the same round is not another round without utility.
    selector.select(4, range(2), 1, rng)
    assert selector.preferred_seconds() == 17.5


@pytest.mark.parametrize(("second", "quantile"), [(2.0, 17.5), (3.0, 15.0)])
def test_oorts_pacer_wants_less_in_the_second_round_than_in_the_first(second, quantile):
    selector = Oort(preferred=0.5, pacer_rounds=1, pacer_step=0.25)
    rng = np.random.default_rng(0)
    for client, loss in enumerate((3.0, second)):
        selector.select(client + 1, range(2), 1, rng)
        seconds = (10.0, 20.0)[client]
        selector.observe(client, client + 1, loss=loss, examples=10, seconds=seconds)
    selector.select(3, range(2), 1, rng)
    assert selector.preferred_seconds() == quantile


@pytest.mark.parametrize("end", [0, 1])
def test_oorts_ends_of_what_is_allowed_are_allowed(end):
    shares = dict.fromkeys(("exploration", "decay", "least_exploration", "pacer_step"), end)
    whole = dict.fromkeys(("cutoff", "clip", "preferred"), 1)
    rounds = (1, 10_000)[end]
    selector = oort(alpha=0, pacer_rounds=rounds, **shares, **whole)
    # All that is wanted is for those never heard, or nothing is.
    chosen = selector.select(2, range(6), 3, np.random.default_rng(0))
    assert chosen == ([3, 4, 5] if end else [0, 1, 2])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("oort", {"pacer_rounds": 10_001}, "pacer_rounds: found 10001, allowed are 1 to 10000"),
        ("oort", {"clip": 1.01}, r"clip: found 1\.01, allowed are more than 0 to 1"),
        ("oort", {"preferred": 0}, r"preferred: found 0\.0, allowed are more than 0 to 1"),
        ("oort", {"least_exploration": 1.01}, r"least_exploration: found 1\.01"),
        ("oort", {"pacer_step": -0.01}, r"pacer_step: found -0\.01"),
        (
            "power-of-choice",
            {"candidates": float("inf")},
            "candidates: found inf, allowed is 1 or more",
        ),
        ("oort", {"alpha": float("inf")}, "alpha: found inf, allowed is 0 or more"),
        ("oort", {"alpha": -1}, r"alpha: found -1\.0"),
        ("oort", {"exploration": 2}, r"exploration: found 2\.0, allowed are 0 to 1"),
        ("oort", {"cutoff": 0}, r"cutoff: found 0\.0, allowed are more than 0 to 1"),
        ("oort", {"pacer_rounds": 0}, "pacer_rounds: found 0"),
        ("oort", {"decay": float("nan")}, "decay: found nan"),
        ("power-of-choice", {"candidates": 0.5}, r"candidates: found 0\.5, allowed is 1 or more"),
        ("best", {}, "found selection 'best', allowed are uniform, data-size, round-robin"),
    ],
)
def test_options_are_checked(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_selector(name, options)
