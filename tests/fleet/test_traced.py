import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.core.errors import TraceError
from fsim.fleet import Traced


@st.composite
def recordings(draw):
    """Whole seconds, so that a look at every half second finds every change."""
    edges = draw(st.lists(st.integers(0, 60), min_size=2, max_size=12, unique=True).map(sorted))
    edges = edges[: len(edges) // 2 * 2]
    period = draw(st.integers(edges[-1], 70))
    starts, ends = edges[0::2], edges[1::2]
    if draw(st.booleans()) and ends[-1] - starts[-1] > 1:  # touching intervals
        middle = starts[-1] + 1
        starts, ends = [*starts, middle], [*ends[:-1], middle, ends[-1]]
    return starts, ends, period, draw(st.integers(0, 200))


@settings(max_examples=200, deadline=None)
@given(recordings(), st.integers(0, 300))
def test_traced_against_brute_force(recording, time):
    starts, ends, period, offset = recording

    def on(second):
        within = (second + offset) % period
        return any(start <= within < end for start, end in zip(starts, ends, strict=True))

    client = Traced(starts, ends, period, offset)
    seconds = range(time, time + 2 * period + 1)
    assert client.next_available(time) == next(s for s in seconds if on(s))
    assert client.available_until(time) == next((s for s in seconds if not on(s)), math.inf)
    until = time + 3 * period
    covered = set()
    for begin, end in client.windows(time):
        covered.update(range(int(begin), int(min(end, until))))
        if end >= until:
            break
    assert covered == {s for s in range(time, until) if on(s)}


def test_far_times_are_whole_periods_later():
    client = Traced([3, 40], [10, 60], 100)
    assert client.next_available(1e11 + 20) == 1e11 + 40
    assert client.available_until(1e11 + 5) == 1e11 + 10
    assert client.with_offset(5).available_until(0) == 5


def test_an_interval_over_the_end_of_the_recording_is_one():
    client = Traced([0.0, 0.7], [0.1, 0.9], 0.9)
    for passes in (1, 7, 1000, 12345):
        begin = client.next_available(0.9 * passes - 0.15)
        assert client.available_until(begin) == pytest.approx(0.9 * passes + 0.1)


def test_a_recording_without_a_gap_has_no_end():
    client = Traced([0, 0.1 + 0.2], [0.3, 5], 5)
    assert client.available_until(1e9) == math.inf
    assert list(client.windows(2)) == [(2, math.inf)]
    assert client.share == 1


def test_share_and_period():
    client = Traced([0, 50], [10, 70], 100)
    assert (client.share, client.period) == (0.3, 100)


@pytest.mark.parametrize(
    ("starts", "ends", "period", "message"),
    [
        ([], [], 10, "at least one, found 0 starts and 0 ends"),
        ([1, 2], [3], 10, "found 2 starts and 1 ends"),
        ([1], [2], 0, "found a period of 0 s"),
        ([1], [2], math.nan, "found a period of nan s"),
        ([1], [2], math.inf, "found a period of inf s"),
        ([1, 5], [2, 5], 10, "interval 2: found 5 to 5 s, allowed is an end"),
        ([1, 5], [2, 4], 10, "interval 2: found 5 to 4 s"),
        ([1], [11], 10, "interval 1: found 1 to 11 s, .* within 0 to 10 s"),
        ([-1], [2], 10, "interval 1: found -1 to 2 s"),
        ([math.nan], [2], 10, "interval 1: found nan to 2 s"),
        ([1, 4], [5, 9], 10, "interval 1: found an end at 5 s, -1 s before the next"),
        ([6, 1], [8, 3], 10, "interval 1: found an end at 8 s, -7 s before the next"),
        ([1, 2.0001], [2, 3], 10, "0.0001 s before the next interval, allowed is 0 or 0.001 s"),
    ],
)
def test_recordings_that_are_refused(starts, ends, period, message):
    with pytest.raises(TraceError, match=message):
        Traced(starts, ends, period)


@pytest.mark.parametrize("offset", [-1.0, math.nan, 1e13])
def test_offsets_that_are_refused(offset):
    with pytest.raises(TraceError, match="found an offset of"):
        Traced([1], [2], 10, offset)
    with pytest.raises(TraceError, match="found an offset of"):
        Traced([1], [2], 10).with_offset(offset)


def test_hostile_recordings_are_answered_in_bounded_time():
    # Gaps and intervals of little more than a millisecond, at the furthest time there is.
    starts = np.arange(100) * 0.0022
    client = Traced(starts, starts + 0.0011, 0.22)
    begin = client.next_available(1e12)
    assert 0 <= begin - 1e12 < 0.01
    assert begin < client.available_until(begin) < begin + 0.01
