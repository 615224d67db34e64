"""Windows that a connection keeps while it idles."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.network.transports.connection import Connection, timeout
from fsim.network.transports.pace import NEW_WINDOW, Window

LATER = 1000
"""Round trips after which nothing is known of the first."""


def kept(window, idle, round_trip, restarts=True):
    connection = Connection()
    connection.use("up", 10.0, window)
    return connection.window("up", 10.0 + idle, round_trip, restarts)


def test_a_timeout_by_hand():
    assert timeout(0.08) == pytest.approx(0.28)
    # The first round trip varies by a half, four times which is 0.4 s; a quarter of what that is
    # above 0.2 s is forgotten with each that follows.
    assert timeout(0.2, 1) == pytest.approx(0.6)
    assert timeout(0.2, 2) == pytest.approx(0.55)
    assert timeout(0.2, 3) == pytest.approx(0.5125)
    # Of a short one never more than the least.
    assert timeout(0.08, 1) == pytest.approx(0.28)


def test_a_window_is_halved_for_each_timeout_without_use():
    window = Window(120_000.0, math.inf, LATER)
    sizes = [kept(window, timeouts * 0.28, 0.08).size for timeouts in (0.9, 1.1, 2.1, 3.1, 9.1)]
    assert sizes == [120_000, 60_000, 30_000, 15_000, 15_000]
    # Early on the timeout is longer.
    assert kept(Window(120_000.0, trips=2), 0.5, 0.2).size == 120_000
    assert kept(Window(120_000.0, trips=LATER), 0.5, 0.2).size == 60_000


def test_one_that_does_not_restart_keeps_its_window():
    assert kept(Window(120_000.0), 1e6, 0.08, restarts=False).size == 120_000


def test_a_small_window_and_its_threshold_stay():
    window = Window(6_000.0, 6_000.0, 5)
    assert kept(window, 1e6, 0.08) == window


def test_each_direction_has_its_own_and_none_is_left_when_it_closes():
    connection = Connection()
    connection.use("up", 10.0, Window(120_000.0))
    assert connection.window("down", 10.0, 0.08, True) == NEW_WINDOW
    connection.close()
    assert connection.window("up", 10.0, 0.08, True) == NEW_WINDOW
    assert connection.was_open
    assert not connection.is_open


@given(st.floats(15_000, 1e12), st.floats(0, 1e9), st.floats(0, 1e3), st.floats(1e-3, 2))
def test_idling_never_enlarges_a_window(size, idle, more, round_trip):
    window = Window(size)
    later = kept(window, idle + more, round_trip).size
    assert NEW_WINDOW.size <= later <= kept(window, idle, round_trip).size <= size
