"""A rise of capacity: the window has to grow into it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.network import Capacity, Tcp
from fsim.network.transports.growth import GrowthCursor, streamed
from tests.network.transports.test_transports import links, times, trips

MBIT = 1e6 / 8


def test_a_rise_by_hand():
    # 10 B/s, and from 10 s on 100: 20, 40 and 80 for a second each, then 100.
    link = Capacity([0, 10], [10.0, 100.0])
    assert streamed(link, 0, 100 + 20 + 40 + 80 + 50, 1.0, 10) == (13.5, 0)
    assert streamed(link, 0, 100 + 20 + 10, 1.0, 10) == (11.25, 0)
    # A window that was large enough before waits at the link, and one that has all in the air.
    assert streamed(link, 0, 400, 1.0, 100) == (13, 0)
    assert streamed(link, 0, 400, 1.0, 50) == (13, 0)
    assert streamed(link, 0, 400, 1.0, 400) == (13, 0)
    assert streamed(link, 0, 400, 0.0, 10) == (13, 0)


def test_it_stops_when_it_is_told_to():
    link = Capacity([0, 10], [10.0, 100.0])
    for until, rest in ((5, 950), (10, 900), (11, 880), (11.5, 860), (13, 760), (14, 660)):
        assert streamed(link, 0, 1000, 1.0, 10, until) == (until, pytest.approx(rest))
    assert streamed(link, 0, 50, 1.0, 10, 100) == (5, 0)


def test_a_fall_and_a_rise_to_what_was_there_before_cost_nothing():
    link = Capacity([0, 10, 20], [100.0, 1.0, 100.0])
    assert streamed(link, 0, 1510, 1.0, 100) == (link.finish_time(0, 1510), 0)


def test_an_outage_longer_than_a_timeout_begins_anew():
    # 4 Mbit/s, 80 ms; at 3 s 15 kB for 80 ms, then 30 kB, then 40 kB in 80 ms as before.
    link = Capacity([0, 1, 3], [4 * MBIT, 0, 4 * MBIT])
    whole = 4 * MBIT + 15_000 + 30_000 + 4 * MBIT
    finish, _ = streamed(link, 0, whole, 0.08, 50_000)
    assert finish == pytest.approx(3 + 2 * 0.08 + 1)
    # 0.28 s and less are waited out.
    short = Capacity([0, 1, 1.28], [4 * MBIT, 0, 4 * MBIT])
    assert streamed(short, 0, whole, 0.08, 50_000)[0] == short.finish_time(0, whole)


@pytest.mark.parametrize(
    ("steps", "size", "seconds"),
    [
        # Measured with BBR over 0.5, then 20 Mbit/s from 1 s on; CUBIC leaves slow start early and
        # takes 2.3 s (benchmarks/measured/steps.csv).
        ([(0, 0.5), (1, 20)], 1_000_000, 1.75),
        # Measured with CUBIC (benchmarks/measured/rises.csv).
        ([(0, 2), (1, 8)], 2_000_000, 2.892),
        ([(0, 2), (5, 8)], 3_000_000, 6.925),
        ([(at / 2, (1, 4)[at % 2]) for at in range(100)], 3_000_000, 10.026),
        ([(0, 4), (1, 0), (10.5, 4)], 1_000_000, 11.784),
    ],
)
def test_measured_rises(steps, size, seconds):
    link = Capacity([start for start, _ in steps], [rate * MBIT for _, rate in steps])
    assert Tcp().finish_time(link, size, 0, 0.08) == pytest.approx(seconds, rel=0.1)


@given(links(), times, st.floats(1, 3e5), trips, st.floats(1e3, 1e6))
def test_growth_never_helps_and_keeps_to_the_link(link, begin, size, round_trip, window):
    finish, rest = streamed(link, begin, size, round_trip, window)
    assert rest == 0
    assert finish >= link.finish_time(begin, size) * (1 - 1e-12)


@given(links(), times, st.floats(1, 3e5), trips, st.floats(1e3, 1e6), st.floats(0, 1))
def test_what_is_sent_by_a_time_is_what_follows_from_the_finish(
    link, begin, size, round_trip, window, share
):
    finish, _ = streamed(link, begin, size, round_trip, window)
    middle = begin + share * (finish - begin)
    time, rest = streamed(link, begin, size, round_trip, window, middle)
    assert time <= finish * (1 + 1e-12)
    assert 0 <= rest <= size
    # The rest takes until the finish at the most: no faster than the link.
    assert rest <= link.bytes_between(time, finish + 1e-9) * (1 + 1e-6)


@given(links(), times, trips, st.floats(1e2, 1e7), st.floats(1, 1e6))
def test_the_cursor_and_the_closed_form_are_the_same(link, begin, round_trip, highest, size):
    # A window as large as what the link has at the beginning: it fills it.
    window = max(highest, link.rate_at(begin)) * round_trip
    if window >= size:
        return
    time, rest = begin, size
    cursor = GrowthCursor(link, begin, round_trip, window / round_trip)
    for _ in range(100_000):
        end = cursor.until
        if cursor.rate and (math.isinf(end) or cursor.rate * (end - time) >= rest - 1e-9 * size):
            break
        rest -= cursor.rate * (end - time)
        time = end
        cursor.step()
    else:
        pytest.fail("not through")
    # Where the last byte falls on the end of a piece, rounding may carry it over an outage.
    expected = [
        streamed(link, begin, size * factor, round_trip, window)[0]
        for factor in (1 - 1e-8, 1, 1 + 1e-8)
    ]
    found = time + rest / cursor.rate
    assert min(expected) - 1e-6 <= found <= max(expected) + 1e-6
