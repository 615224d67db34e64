import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.network.transports.packet_losses import DrawnLosses, EvenLosses


def drawn(probability, seed=0):
    return DrawnLosses(probability, lambda number: np.random.default_rng([seed, number]))


def test_even_losses_by_hand():
    losses = EvenLosses(0.25)
    assert [packet for packet in range(12) if losses.loses(packet)] == [3, 7, 11]
    assert losses.within(3, 8) == 2
    # 0.1 x 10 may be more or less than 1 by rounding.
    assert [packet for packet in range(31) if EvenLosses(0.1).loses(packet)] == [9, 19, 29]


def test_each_packet_is_lost_with_the_probability():
    for probability in (0.01, 0.2, 0.7):
        count = 200_000
        # 4 standard errors.
        error = 4 * np.sqrt(probability * (1 - probability) / count)
        assert drawn(probability).before(count) / count == pytest.approx(probability, abs=error)
    # Each by itself: after a loss as often as else.
    losses = drawn(0.2, seed=1)
    lost = np.array([losses.loses(packet) for packet in range(20_000)])
    again = lost[1:][lost[:-1]].mean()
    assert again == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / lost.sum()))


@given(st.floats(0.001, 0.99), st.lists(st.integers(0, 500), min_size=1, max_size=10))
def test_whoever_asks_twice_is_told_the_same(probability, ends):
    losses, others = drawn(probability), drawn(probability)
    others.before(1000)
    assert [losses.before(end) for end in ends] == [others.before(end) for end in ends]


def test_another_connection_has_draws_of_its_own():
    first, second = drawn(0.1), drawn(0.1).of_another()
    assert [first.loses(at) for at in range(100)] != [second.loses(at) for at in range(100)]
    assert [second.loses(at) for at in range(100)] == [
        drawn(0.1).of_another().loses(at) for at in range(100)
    ]
