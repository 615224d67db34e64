import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.server.keepalive import KEEPALIVES, Keepalive

FLOWER = KEEPALIVES["flower"]

SECONDS = st.floats(0, 1e5)
PATIENCE = st.floats(1, 1e5)


@pytest.mark.parametrize(
    ("answered_until", "closes"),
    [
        (5.0, 240.0),  # in an upload: the last byte came at 10 s, and a ping would be sent at 220 s
        (10.0, 240.0),
        (219.0, 240.0),
        (220.0, 240.0),  # too late by a moment to be answered
        (220.5, 450.0),  # one ping was answered
        (1000.0, 1080.0),  # four were, of 220, 430, 640 and 850 s; the one of 1060 s was not
    ],
)
def test_flowers_server_pings_every_210_s_and_waits_for_20(answered_until, closes):
    assert FLOWER.closes_idle(10.0, answered_until) == closes


def test_grpcs_server_notices_after_two_hours():
    assert KEEPALIVES["grpc"].closes_idle(0.0, 600.0) == 7220.0


def test_what_is_sent_has_to_be_acknowledged_in_time():
    assert FLOWER.closes_sending(7.5) == 27.5


@given(SECONDS, SECONDS, PATIENCE, PATIENCE)
def test_the_first_ping_without_an_answer_is_the_one_that_counts(heard, until, time, timeout):
    """Pings one after another, as a server sends them."""
    ping = heard + time
    for number in range(2, 2 * 10**6):
        if ping >= until:
            break
        ping = heard + number * time
    closes = Keepalive(time, timeout).closes_idle(heard, until)
    # A ping that leaves at the very moment may be taken for either, as it is rounded.
    near = abs((until - heard) / time - round((until - heard) / time)) < 1e-9
    slack = 1e-9 * (1 + heard + until) + near * time
    assert closes == pytest.approx(ping + timeout, abs=slack, rel=1e-12)


@given(SECONDS, SECONDS, SECONDS, PATIENCE, PATIENCE)
def test_who_vanishes_later_is_noticed_later_and_within_a_period(heard, first, then, time, timeout):
    keepalive = Keepalive(time, timeout)
    first, then = sorted((first, then))
    closes = [keepalive.closes_idle(heard, until) for until in (first, then)]
    slack = 1e-9 * (1 + heard + then)
    assert closes[0] <= closes[1] + slack
    for until, noticed in zip((first, then), closes, strict=True):
        assert noticed >= max(heard + time, until) + timeout - slack
        assert noticed <= max(heard, until) + time + timeout + slack
