"""The backlog of a FIFO, worked out by hand: 1 Mbit/s and 80 ms, of which a pipe is 10 kB."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.network.sharing.backlog import Backlog, Stream
from fsim.network.transports.congestion import CONGESTION, Bbr, Cubic, Reno
from fsim.network.transports.pace import Window

RATE, ROUND_TRIP, PIPE, SEGMENT = 125e3, 0.08, 10e3, 1500.0


def stream(control=Reno, segments=20.0, size=1e8, threshold=float("inf")):
    return Stream(Window(segments * SEGMENT, threshold), control(), ROUND_TRIP, size)


def backlog(queue, *streams):
    """A link that limits its streams to equal shares."""
    link = Backlog(queue)
    limit(link, *streams)
    return link


def limit(link, *streams, capacity=RATE):
    for each in streams:
        each.rate = capacity / len(streams)
    link.limit(capacity, dict(enumerate(streams)))


def test_what_a_window_holds_beyond_the_pipe_waits():
    # Reno does not look at waits: 20 segments in the air, 40 a round trip of 80 + 160 ms later.
    link = backlog(1e6, stream())
    assert link.amount == pytest.approx(30e3 - PIPE)
    assert link.seconds == pytest.approx(0.16)
    link.advance(0.2399)
    assert link.amount == pytest.approx(30e3 - PIPE)
    link.advance(0.2401)
    assert link.amount == pytest.approx(60e3 - PIPE)


def test_no_more_waits_than_fits_and_than_is_to_be_sent():
    assert backlog(15e3, stream()).amount == 15e3
    link = backlog(1e6, stream(size=17e3))
    assert link.amount == pytest.approx(7e3)
    # Of 17 kB the last 4.5 kB are on their way, less than a pipe.
    link.advance(0.1)
    assert link.amount == 0


@pytest.mark.parametrize(("control", "mean"), [(Reno, 0.75), (Cubic, 0.925)])
def test_a_queue_that_has_been_full_keeps_its_mean(control, mean):
    # 50 kB and the pipe: 60 kB at a loss.
    link = backlog(50e3, stream(control))
    link.advance(60.0)
    assert link.amount == pytest.approx(mean * 60e3 - PIPE)
    link.advance(600.0)
    assert link.amount == pytest.approx(mean * 60e3 - PIPE)


def test_reno_leaves_no_backlog_in_a_queue_shorter_than_a_third_of_the_pipe():
    link = backlog(PIPE / 3, stream())
    link.advance(60.0)
    assert link.amount == pytest.approx(0.0, abs=1e-9)


def test_cubic_leaves_slow_start_by_the_wait_and_comes_to_a_full_queue_along_its_curve():
    # Ten segments, half of the window, had 5 kB wait for 40 ms, more than 10: 20 + 8 segments.
    link = backlog(150e3, stream(Cubic))
    assert link.amount == pytest.approx(28 * SEGMENT - PIPE)
    # 0.4 t^3 more after t seconds, or the 9/17 of a segment a round trip of Reno, then one.
    link.advance(3.0)
    assert 28 + 0.4 * 2.5**3 < (link.amount + PIPE) / SEGMENT < 28 + 0.4 * 3.1**3 + 3
    # 160 kB are 106.7 segments: (78.7 / 0.4)^(1/3) = 5.8 s.
    link.advance(5.0)
    assert link.amount < 120e3
    link.advance(8.5)
    assert link.amount == pytest.approx(0.925 * 160e3 - PIPE)


def test_cubic_goes_on_doubling_where_nothing_waits_long_enough():
    # 14 segments: half of them, 10.5 kB, had 0.5 kB wait for 4 ms; 10 ms are noticed.
    link = backlog(1e6, stream(Cubic, segments=14.0))
    assert link.amount == pytest.approx(14 * SEGMENT - PIPE)
    link.advance(0.2)
    assert link.amount == pytest.approx(36 * SEGMENT - PIPE)


def test_bbr_drains_what_its_startup_has_filled():
    # 2 / ln 2 pipes at first, then an eighth of a pipe and three segments beyond it.
    link = backlog(1e6, stream(Bbr))
    link.advance(0.3)
    assert link.amount == pytest.approx(30e3 - PIPE)  # 28.9 kB are less than it has already
    link.advance(2.0)
    assert link.amount == pytest.approx(PIPE / 8 + 3 * SEGMENT)


def test_who_stays_grows_into_what_another_leaves():
    stays = stream()
    link = backlog(50e3, stays, stream())
    link.advance(60.0)
    assert link.amount == pytest.approx(0.75 * 60e3 - PIPE)
    limit(link, stays)
    assert link.amount == pytest.approx(0.375 * 60e3 - PIPE)
    # 60 kB are 40 segments, 15 of them there: a segment each 0.2 to 0.5 s.
    link.advance(62.0)
    assert 0.375 * 60e3 - PIPE < link.amount < 50e3
    link.advance(80.0)
    assert link.amount == pytest.approx(0.75 * 60e3 - PIPE)


def test_a_stream_that_something_else_limits_leaves_nothing():
    link = backlog(50e3, stream())
    link.limit(RATE, {})
    assert link.amount == 0
    assert link.seconds == 0


def test_a_link_that_stands_still_has_no_wait_of_its_own():
    link = backlog(50e3, stream())
    limit(link, stream(), capacity=0.0)
    link.advance(9.0)
    assert link.seconds == 0


@given(
    st.floats(1500, 1e6),
    st.lists(
        st.tuples(
            st.sampled_from(sorted(CONGESTION)), st.floats(1, 1e3), st.floats(1, 1e7),
            st.floats(1e-3, 1), st.floats(1e3, 1e7),
        ), min_size=1, max_size=4,
    ),
    st.lists(st.floats(0, 20), min_size=1, max_size=5),
)  # fmt: skip
def test_laws(queue, senders, times):
    """Never less than nothing, more than fits, or more than senders have left."""
    link, streams = Backlog(queue), []
    for control, segments, size, round_trip, rate in senders:
        made = Stream(Window(segments * SEGMENT), CONGESTION[control](), round_trip, size)
        made.rate = rate
        streams.append(made)
    capacity = sum(each.rate for each in streams)
    link.limit(capacity, dict(enumerate(streams)))
    for time in sorted(times):
        link.advance(time)
        rest = sum(each.rest for each in streams)
        assert 0 <= link.amount <= min(queue, rest) * (1 + 1e-9)
        assert link.seconds == pytest.approx(link.amount / capacity)
        for each, (*_, size, _, rate) in zip(streams, senders, strict=True):
            assert each.rest == pytest.approx(max(0.0, size - rate * time), abs=1e-3)
