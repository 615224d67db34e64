"""Radios that sleep: closed forms of transfers that wait for one to wake up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.network import Capacity, Datagram, Fluid, Tcp
from fsim.network.transports.interruption import interrupted
from fsim.network.transports.pace import NEW_CONNECTION, Opening, Window
from fsim.network.transports.waking import AWAKE, Waking

HUNDRED = Capacity.constant(100.0)

TRANSPORTS = st.sampled_from([Fluid(), Tcp(), Tcp(connection="fresh"), Datagram()])
OPENINGS = st.sampled_from([NEW_CONNECTION, Opening(Window(20_000.0)), Opening(None, True)])


def sleeper(gap):
    """Two seconds after more than five without a byte."""
    return 2.0 if gap > 5 else 0.0


def test_a_radio_is_asked_by_how_long_it_has_slept():
    waking = Waking(sleeper)
    assert waking.promotion(0.0) == 2
    assert waking.used(10.0).promotion(15.0) == 0
    assert waking.used(10.0).promotion(15.1) == 2
    assert AWAKE.promotion(1e9) == 0


@given(TRANSPORTS, OPENINGS, st.integers(0, 10**6), st.floats(1, 1e6), st.floats(0, 9))
def test_a_promotion_puts_off_everything_by_its_seconds(transport, opening, size, rate, seconds):
    capacity, promoted = Capacity.constant(rate), opening._replace(promotion=seconds)
    finish = transport.finish_time(capacity, size, 3.0, 0.1, opening)
    late = transport.finish_time(capacity, size, 3.0, 0.1, promoted)
    assert late == pytest.approx(finish + seconds)
    for share in (0.0, 0.4, 1.0):
        until = 3.0 + share * (finish - 3.0)
        sent = transport.sent_by(capacity, size, 3.0, until, 0.1, opening)
        delayed = transport.sent_by(capacity, size, 3.0, until + seconds, 0.1, promoted)
        # A whole packet may be on either side of a rounding.
        assert delayed == pytest.approx(sent, abs=1500)
    assert transport.sent_by(capacity, size, 3.0, 3.0 + seconds, 0.1, promoted) == (
        transport.sent_by(capacity, size, 3.0, 3.0, 0.1, opening)
    )


def test_whoever_was_away_for_long_waits_again():
    # 1000 bytes at 100 bytes/s, there for 4 s of every 8: 2 s, then 4 and 4 s.
    windows = [(at * 8.0, at * 8.0 + 4) for at in range(9)]
    outcome = interrupted(Fluid(), HUNDRED, 1000, 0, 0, windows, "resume", waking=Waking(sleeper))
    assert outcome.finish == pytest.approx(20.0)
    # Of every 10: 2 s each.
    windows = [(at * 10.0, at * 10.0 + 4) for at in range(9)]
    outcome = interrupted(Fluid(), HUNDRED, 1000, 0, 0, windows, "resume", waking=Waking(sleeper))
    assert outcome.finish == pytest.approx(44.0)


def test_the_first_window_counts_from_when_it_was_last_used():
    waking = Waking(sleeper).used(-3.0)
    assert interrupted(Fluid(), HUNDRED, 100, 0, 0, [(0, 9)], "lost", waking=waking).finish == 1
    # Away until 2.5 s: 5.5 s without a byte.
    assert interrupted(Fluid(), HUNDRED, 100, 0, 0, [(2.5, 9)], "lost", waking=waking).finish == 5.5


def test_a_window_that_is_no_longer_than_the_promotion_brings_nothing():
    outcome = interrupted(
        Fluid(), HUNDRED, 100, 0, 0, [(0, 2), (20, math.inf)], "restart", waking=Waking(sleeper)
    )
    assert (outcome.finish, outcome.sent_bytes, outcome.lost_bytes) == (23.0, 100, 0)
