import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.network import Capacity, Fluid, Tcp

MBIT = 1e6 / 8

# Seconds from connect to last acknowledged byte, 20 Mbit/s, 80 ms round trip, CUBIC on Linux
# sockets over a shaped link; and the slow-start formula worked out independently of this project.
MEASURED = {30_000: 0.25, 100_000: 0.41, 300_000: 0.52, 1_000_000: 0.82, 3_000_000: 1.65,
            10_000_000: 4.61}  # fmt: skip
FORMULA = {30_000: 0.246, 100_000: 0.343, 300_000: 0.514, 1_000_000: 0.804, 3_000_000: 1.633}


def test_fluid_is_payload_over_capacity():
    assert Fluid().finish_time(Capacity.constant(20 * MBIT), 153_600_000, 0, 0.08) == 61.44


@pytest.mark.parametrize(("size", "seconds"), FORMULA.items())
def test_tcp_follows_the_slow_start_formula(size, seconds):
    finish = Tcp().finish_time(Capacity.constant(20 * MBIT), size, 0, 0.08)
    assert finish == pytest.approx(seconds, abs=0.0011)


@pytest.mark.parametrize(("size", "seconds"), MEASURED.items())
def test_tcp_agrees_with_measured_sockets(size, seconds):
    finish = Tcp().finish_time(Capacity.constant(20 * MBIT), size, 0, 0.08)
    assert finish == pytest.approx(seconds, rel=0.05 if size >= 300_000 else 0.20)


def test_tcp_at_a_lower_rate():
    # 5 MB over 4 Mbit/s, 40 ms round trip: measured 10.44 s (CUBIC).
    finish = Tcp().finish_time(Capacity.constant(4 * MBIT), 5_000_000, 0, 0.04)
    assert finish == pytest.approx(10.44, rel=0.02)


def test_tcp_by_hand():
    # 14480 bytes are 10 segments: handshake, one flight at 1 Mbit/s (0.12 s), acknowledgement.
    assert Tcp().finish_time(Capacity.constant(MBIT), 14_480, 1.0, 0.1) == pytest.approx(1.32)


def test_tcp_waits_out_an_outage_in_slow_start():
    # 20 Mbit/s fails from 0.1 s to 10 s: the first flight leaves at 0.08 s and is held up.
    capacity = Capacity([0, 0.1, 10], [20 * MBIT, 0, 20 * MBIT])
    finish = Tcp().finish_time(capacity, 1_000_000, 0, 0.08)
    assert 10.3 < finish < 10.9


@given(st.integers(1, 10**7), st.floats(1e4, 1e8), st.floats(1, 20), st.floats(0.001, 0.5))
def test_tcp_more_capacity_never_finishes_later(size, rate, factor, round_trip):
    slow = Tcp().finish_time(Capacity.constant(rate), size, 0, round_trip)
    fast = Tcp().finish_time(Capacity.constant(rate * factor), size, 0, round_trip)
    assert fast <= slow * (1 + 1e-12)


@given(st.integers(1, 10**7), st.integers(1, 10**6), st.floats(1e4, 1e8))
def test_tcp_more_bytes_never_finish_sooner(size, more, rate):
    capacity = Capacity.constant(rate)
    assert Tcp().finish_time(capacity, size, 0, 0.05) <= Tcp().finish_time(
        capacity, size + more, 0, 0.05
    )


@given(st.integers(1, 10**7), st.floats(1e4, 1e8), st.floats(0, 0.5))
def test_tcp_is_never_faster_than_fluid(size, rate, round_trip):
    capacity = Capacity.constant(rate)
    fluid = Fluid().finish_time(capacity, size, 0, round_trip)
    assert Tcp().finish_time(capacity, size, 0, round_trip) >= fluid
