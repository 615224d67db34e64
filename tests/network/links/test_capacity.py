import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import TraceError, TransferNeverEnds
from fsim.network import Capacity

MBIT = 1e6 / 8


@st.composite
def capacities(draw):
    gaps = draw(st.lists(st.floats(0.1, 20), min_size=1, max_size=8))
    rates = draw(
        st.lists(
            st.one_of(st.just(0.0), st.floats(1e3, 1e7)), min_size=len(gaps), max_size=len(gaps)
        ).filter(lambda rates: rates[-1] > 0)
    )
    starts = np.concatenate(([0.0], np.cumsum(gaps)[:-1]))
    offset = draw(st.floats(0, 50))
    return Capacity(
        starts, rates, float(np.sum(gaps)), draw(st.sampled_from(["loop", "hold"])), offset
    )


sizes = st.floats(1, 1e8)
times = st.floats(0, 1e4)


def test_changing_capacity_worked_by_hand():
    # 5 MB = 40 Mbit: 12 by 3 s, 3 by 6 s, 1.5 by 9 s leave 23.5 Mbit at 8 Mbit/s: 2.9375 s.
    capacity = Capacity([0, 3, 6, 9], [4 * MBIT, 1 * MBIT, 0.5 * MBIT, 8 * MBIT])
    assert capacity.finish_time(0, 5e6) == pytest.approx(11.9375, abs=1e-12)


def test_looped_capacity_worked_by_hand():
    # 8 Mbit a cycle of 4 s: 40 Mbit are exactly five cycles.
    capacity = Capacity([0, 2], [1 * MBIT, 3 * MBIT], duration=4, past_end="loop")
    assert capacity.finish_time(0, 5e6) == pytest.approx(20.0, abs=1e-12)


def test_offset_enters_the_staircase_later():
    capacity = Capacity([0, 2], [1 * MBIT, 3 * MBIT], duration=4, past_end="loop", offset=2)
    # 3 Mbit in the first second.
    assert capacity.finish_time(0, 3 * MBIT) == pytest.approx(1.0)
    assert capacity.rate_at(0) == 3 * MBIT
    assert capacity.rate_at(2) == 1 * MBIT


def test_outage_is_waited_out_and_the_earliest_finish_is_told():
    capacity = Capacity([0, 1, 5], [100.0, 0.0, 100.0], duration=10, past_end="loop")
    assert capacity.finish_time(0, 100) == 1.0
    assert capacity.finish_time(0, 101) == pytest.approx(5.01)
    assert capacity.finish_time(2, 1) == pytest.approx(5.01)


def test_hold_keeps_the_last_rate():
    capacity = Capacity([0, 1], [100.0, 10.0], duration=2, past_end="hold")
    assert capacity.finish_time(0, 110) == pytest.approx(2)
    assert capacity.finish_time(0, 210) == pytest.approx(12)
    assert capacity.rate_at(1e9) == 10.0


@pytest.mark.parametrize(
    "capacity",
    [
        Capacity([0, 1], [100.0, 0.0], duration=2, past_end="hold"),
        Capacity([0], [0.0], duration=2, past_end="loop"),
        Capacity([0, 5], [10.0, 0.0]),
        Capacity.constant(0.0),
    ],
)
def test_outage_that_never_ends_is_reported(capacity):
    with pytest.raises(TransferNeverEnds, match="never arrive"):
        capacity.finish_time(0, 1000)


def test_end_of_a_staircase_with_error_past_it():
    capacity = Capacity([0], [100.0], duration=2, past_end="error")
    assert capacity.finish_time(0, 200) == 2.0
    with pytest.raises(TraceError, match="known for 2 s"):
        capacity.finish_time(0, 201)
    with pytest.raises(TraceError, match="known for 2 s"):
        capacity.rate_at(3)


@pytest.mark.parametrize(
    ("starts", "rates", "duration", "message"),
    [
        ([], [], 1, "as many start times"),
        ([0, 1], [1], 2, "as many start times"),
        ([1], [1], 2, "begin at 0"),
        ([0, 0], [1, 1], 2, "increase"),
        ([0, 1], [1, -1], 2, "found a rate of -1"),
        ([0, 1], [1, math.nan], 2, "found a rate of nan"),
        ([0, 1], [1, 1], 1, "must last longer"),
    ],
)
def test_not_a_staircase(starts, rates, duration, message):
    with pytest.raises(TraceError, match=message):
        Capacity(starts, rates, duration)


def test_scaling_to_a_mean():
    capacity = Capacity([0, 2], [1.0, 3.0], duration=4).scaled_to(10.0)
    assert capacity.mean == pytest.approx(10.0)
    assert capacity.rates.tolist() == [5.0, 15.0]
    with pytest.raises(TraceError, match="cannot be scaled"):
        Capacity([0], [0.0], duration=1).scaled_to(1.0)


def test_scaling_and_entering_elsewhere_share_the_staircase():
    capacity = Capacity([0, 2], [1.0, 3.0], duration=4)
    other = capacity.scaled(2).with_offset(1).scaled(2)
    assert other.staircase is capacity.staircase
    assert (other.offset, other.rates.tolist(), other.mean) == (1, [4, 12], 8)
    # From 1 s into it: 4 bytes, then 12 a second.
    assert other.finish_time(0, 16) == 2.0


def test_a_factor_of_zero_is_an_outage_for_ever():
    with pytest.raises(TransferNeverEnds):
        Capacity([0, 2], [1.0, 3.0], duration=4).scaled(0).finish_time(0, 1)


@pytest.mark.parametrize("factor", [-1, math.nan, math.inf, 1e-200])
def test_not_a_factor(factor):
    with pytest.raises(TraceError, match="found a factor of"):
        Capacity.constant(1.0).scaled(factor)


def test_the_next_piece_above_a_rate():
    capacity = Capacity([0, 2, 5], [1.0, 3.0, 2.0], duration=6).scaled(2).with_offset(1)
    assert [capacity.next_above(time, 4) for time in (0, 0.5, 1, 7)] == [1, 1, 7, 13]
    assert [capacity.next_above(time, 3) for time in (0, 1, 2)] == [1, 4, 4]
    assert capacity.next_above(0, 6) == math.inf
    held = Capacity([0, 2], [1.0, 3.0], duration=6, past_end="hold")
    assert held.next_above(0, 2) == 2
    assert held.next_above(2, 2) == math.inf


def test_the_next_return_from_an_outage():
    capacity = Capacity([0, 2, 3, 5, 9], [1.0, 0, 3.0, 0.0, 2.0], duration=10).with_offset(1)
    assert [capacity.next_return(time, 2) for time in (0, 7, 8, 18)] == [8, 8, 18, 28]
    assert capacity.next_return(0, 0.5) == 2
    assert capacity.next_return(0, 4) == math.inf
    # One that never ends has no return; the end of a loop is an end.
    assert Capacity([0, 2], [1.0, 0.0]).next_return(0, 1) == math.inf
    assert Capacity([0, 2], [1.0, 0.0], duration=4).next_return(0, 1) == 4
    # What goes on over the end of a loop is one outage; what was before does not count.
    loop = Capacity([0, 1, 4], [0.0, 5.0, 0.0], duration=6)
    assert [loop.next_return(time, 2.5) for time in (0, 1, 8)] == [7, 7, 13]
    assert loop.next_return(0, 3) == math.inf
    assert loop.next_return(5, 2.5, since=5) == 13
    assert not Capacity.constant(1).changes
    assert capacity.changes


@pytest.mark.parametrize("start", [-1.0, math.nan, math.inf])
def test_no_transfer_begins_outside_time(start):
    with pytest.raises(ValueError, match="cannot transfer anything"):
        Capacity.constant(1.0).finish_time(start, 1)


@pytest.mark.parametrize("size", [-1.0, math.nan, math.inf])
def test_no_transfer_has_such_a_size(size):
    with pytest.raises(ValueError, match=f"cannot transfer {size} bytes"):
        Capacity.constant(1.0).finish_time(0, size)


def test_nothing_is_transferred_at_once():
    assert Capacity.constant(0.0).finish_time(3, 0) == 3


def test_a_transfer_that_takes_longer_than_numbers_go_never_ends():
    with pytest.raises(TransferNeverEnds):
        Capacity.constant(1e-300).finish_time(0, 1e10)


@given(capacities(), times, sizes)
def test_what_was_sent_is_what_was_delivered(capacity, start, size):
    finish = capacity.finish_time(start, size)
    assert finish >= start
    assert capacity.bytes_between(start, finish) == pytest.approx(size, rel=1e-6, abs=1e-3)


@given(capacities(), times, sizes, sizes)
def test_sending_in_two_parts_takes_as_long(capacity, start, first, second):
    middle = capacity.finish_time(start, first)
    in_parts = capacity.finish_time(middle, second)
    at_once = capacity.finish_time(start, first + second)
    # Where a part ends at the edge of an outage, rounding may place it on either side.
    assert capacity.bytes_between(start, in_parts) == pytest.approx(
        capacity.bytes_between(start, at_once), rel=1e-6, abs=1e-3
    )


@given(capacities(), times, sizes, st.floats(1, 10))
def test_more_capacity_never_finishes_later(capacity, start, size, factor):
    faster = Capacity(
        capacity.starts, capacity.rates * factor, capacity.duration, capacity.past_end,
        capacity.offset,
    )  # fmt: skip
    slow = capacity.finish_time(start, size)
    assert faster.finish_time(start, size) <= slow * (1 + 1e-9) + 1e-9


@given(capacities(), sizes, st.floats(0.5, 20))
def test_stretching_time_stretches_the_finish(capacity, size, factor):
    stretched = Capacity(
        capacity.starts * factor, capacity.rates / factor, capacity.duration * factor,
        capacity.past_end, capacity.offset * factor,
    )  # fmt: skip
    expected = capacity.finish_time(0, size)
    again = stretched.finish_time(0, size)
    assert stretched.bytes_between(0, again) == pytest.approx(
        capacity.bytes_between(0, expected), rel=1e-6, abs=1e-3
    )


@given(st.floats(0, 1e9))
def test_one_rate_for_ever_is_a_staircase_of_one_piece(rate):
    quick, general = Capacity.constant(rate).staircase, Capacity([0.0], [rate]).staircase
    assert vars(quick).keys() == vars(general).keys()
    for name, value in vars(general).items():
        assert np.array_equal(getattr(quick, name), value), name


@pytest.mark.parametrize("rate", [-1.0, math.inf, math.nan])
def test_one_rate_that_is_none_is_refused(rate):
    with pytest.raises(TraceError, match="allowed is 0 or more, finite"):
        Capacity.constant(rate)
