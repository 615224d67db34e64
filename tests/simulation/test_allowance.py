"""Budgets of bytes from seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.fleet import Link
from fsim.network import Capacity, Fluid, Opening, Tcp
from fsim.network.transports.pace import NEW_CONNECTION, NEW_WINDOW
from fsim.simulation.allowance import bytes_within


def link(rate, round_trip=0.0):
    return Link(Capacity.constant(rate), round_trip)


def test_as_a_fluid_it_is_rate_times_seconds():
    assert bytes_within(2.0, link(1000.0), Fluid()) == 2000


def test_the_worked_number_of_the_document():
    """docs/compression.md: 1 Mbit/s, a round trip of 80 ms, 3 s."""
    assert bytes_within(3.0, link(125e3, 0.08), Fluid()) == 375_000
    assert bytes_within(3.0, link(125e3, 0.08), Tcp()) == 357_173


def test_only_the_mean_of_a_link_is_known():
    two = Capacity([0.0, 1.0], [3000.0, 1000.0], 2.0)
    assert bytes_within(5.0, Link(two, 0.0), Fluid()) == 10_000


@given(
    st.floats(0.01, 30),
    st.floats(1e3, 1e7),
    st.floats(0, 0.5),
    st.sampled_from([Fluid(), Tcp(), Tcp(connection="fresh")]),
)
def test_one_byte_more_would_take_too_long(seconds, rate, round_trip, transport):
    own = link(rate, round_trip)
    size = bytes_within(seconds, own, transport)

    def takes(count):
        opening = Opening(NEW_WINDOW) if transport.keeps_connections else NEW_CONNECTION
        return transport.finish_time(own.capacity, count, 0.0, round_trip, opening)

    assert size == 0 or takes(size) <= seconds
    assert takes(size + 1) > seconds


def test_too_short_a_time_or_no_link_allows_nothing():
    assert bytes_within(0.1, link(1e6, 0.2), Tcp()) == 0
    assert bytes_within(10.0, link(0.0), Fluid()) == 0


@pytest.mark.parametrize("seconds", [1.0, 4.0])
def test_set_up_and_slow_start_count(seconds):
    assert bytes_within(seconds, link(1e5, 0.1), Tcp()) < 1e5 * seconds * 1448 / 1500
