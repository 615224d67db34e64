import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import ScenarioError, TraceError, TransferNeverEnds
from fsim.network import Arq, Capacity, Datagram, Fluid, Opening, Tcp
from fsim.network.transports.interruption import Outcome, interrupted
from fsim.network.transports.pace import Window
from tests.network.transports.test_transports import links, payloads, trips

TRANSPORTS = [Fluid(), Tcp(), Arq(0.2), Tcp(0.05), Tcp(0.2, congestion="bbr"), Datagram(0.1)]
HUNDRED = Capacity.constant(100.0)


@st.composite
def presences(draw):
    """Windows, and perhaps a stay for ever at the end."""
    lengths = draw(st.lists(st.floats(0.01, 30), min_size=2, max_size=16))
    times = list(itertools.accumulate(lengths))
    windows = list(zip(times[::2], times[1::2], strict=False))
    if draw(st.booleans()):
        windows.append((times[-1] + 1, math.inf))
    return windows


def fluid(size, windows, rule, start=0.0):
    return interrupted(Fluid(), HUNDRED, size, start, 0.1, windows, rule)


def test_rules_worked_by_hand():
    # 100 bytes/s, 1000 bytes, there from 0 to 4 and from 10 s on: 400 bytes by 4 s.
    windows = [(0, 4), (10, math.inf)]
    assert fluid(1000, windows, "resume") == Outcome(16.0, 1000, 0)
    assert fluid(1000, windows, "restart") == Outcome(20.0, 1400, 400)
    assert fluid(1000, windows, "lost") == Outcome(None, 400, 400)


def test_a_transfer_within_a_window_is_not_interrupted():
    for rule in ("resume", "restart", "lost"):
        assert fluid(400, [(0, 4)], rule) == Outcome(4.0, 400, 0)
        assert fluid(400, [(0, 4), (5, 6)], rule, start=-0.0) == Outcome(4.0, 400, 0)


def test_who_is_away_at_first_begins_on_coming_back():
    for rule in ("resume", "restart", "lost"):
        assert fluid(100, [(0, 4), (10, 20)], rule, start=5.0) == Outcome(11.0, 100, 0)
    assert fluid(100, [(0, 4)], "resume", start=5.0) == Outcome(None, 0, 0)


def test_what_is_never_finished_was_sent_in_vain():
    assert fluid(1000, [(0, 4), (5, 6)], "resume") == Outcome(None, 500, 500)
    assert fluid(1000, [(0, 4), (5, 6)], "restart") == Outcome(None, 500, 500)
    assert fluid(1000, [], "resume") == Outcome(None, 0, 0)


def test_a_resumed_tcp_transfer_is_set_up_again():
    # 1500 bytes on the wire for 1448: 1 s at 1500 bytes/s. 10 segments; a round trip of 0.5 s.
    # By 5.5 s: handshake, then 5 s of 1500 bytes/s: 5 segments. Again from 10 s: handshake,
    # 5 segments, and half a round trip until the last of them is there.
    capacity = Capacity.constant(1500.0)
    outcome = interrupted(Tcp(), capacity, 14_480, 0, 0.5, [(0, 5.5), (10, 99)], "resume")
    assert outcome == Outcome(pytest.approx(15.75), 14_480, 0)
    # Cut within the handshake nothing was sent.
    outcome = interrupted(Tcp(), capacity, 14_480, 0, 0.5, [(0, 0.4), (10, 99)], "restart")
    assert outcome == Outcome(pytest.approx(20.75), 14_480, 0)


def test_slow_start_is_cut_in_its_flights():
    # 15,000 bytes on the wire a flight at 1 MB/s, 100 ms: sent from 0.1 to 0.115 s, then nothing
    # until 0.2 s, then 30,000 from 0.2 to 0.23 s, then nothing until 0.3 s.
    capacity, tcp = Capacity.constant(1e6), Tcp()
    by = [(0.1, 0), (0.1075, 7240), (0.115, 14_480), (0.19, 14_480), (0.215, 28_960),
          (0.29, 43_440)]  # fmt: skip
    for until, sent in by:
        assert tcp.sent_by(capacity, 10**6, 0, until, 0.1) == pytest.approx(sent, abs=1)


def test_who_sends_may_leave_after_the_last_byte_and_who_receives_may_not():
    # Sent by 10.5 s, there at 10.75 s; the client leaves at 10.6 s. One that receives connects and
    # asks, 0.75 s, is sent all by 10.75 s, and is away when it comes at 11 s: back at 20 s, it
    # connects, asks, and has all but the last quarter of a second's.
    capacity, windows = Capacity.constant(1500.0), [(0, 10.6), (20, 99)]
    for rule in ("resume", "restart", "lost"):
        outcome = interrupted(Tcp(), capacity, 14_480, 0, 0.5, windows, rule)
        assert outcome == Outcome(10.75, 14_480, 0)
    asked = Opening(None, fetched=True)
    there = [(0, 10.9), (20, 99)]
    outcome = interrupted(Tcp(), capacity, 14_480, 0, 0.5, there, "resume", opening=asked)
    assert outcome == Outcome(21.0, 14_480, 0)
    outcome = interrupted(Tcp(), capacity, 14_480, 0, 0.5, there, "restart", opening=asked)
    assert outcome == Outcome(31.0, 28_960, 14_480)


def test_an_open_connection_is_gone_once_the_client_has_been_away():
    # 15,000 bytes on the wire at 1500 bytes/s, a round trip of 0.5 s: 10.25 s without set-up.
    capacity, kept = Capacity.constant(1500.0), Opening(Window(15_000.0))
    for windows, finish, window in (
        ([(0, 99)], 10.25, 30_000),
        ([(1, 99)], 11.75, 30_000),
        ([(0, 4), (9, 99)], 15.75, 18_000),
    ):
        outcome = interrupted(Tcp(), capacity, 14_480, 0, 0.5, windows, "resume", opening=kept)
        assert outcome.finish == pytest.approx(finish)
        assert outcome.window.size == pytest.approx(window, abs=2)


def test_datagrams_count_once_they_are_whole():
    # 1500 bytes/s: a packet a second; three by 3.9 s.
    capacity = Capacity.constant(1500.0)
    outcome = interrupted(Datagram(), capacity, 14_720, 0, 0.5, [(0, 3.9), (10, 99)], "resume")
    assert outcome == Outcome(17.25, 14_720, 0)
    outcome = interrupted(Datagram(), capacity, 14_720, 0, 0.5, [(0, 3.9), (10, 99)], "lost")
    assert outcome == Outcome(None, 3 * 1472, 3 * 1472)


def test_a_payload_that_fits_no_window_is_given_up():
    def evenings():
        return ((day * 10.0, day * 10.0 + 4) for day in itertools.count())

    with pytest.raises(TransferNeverEnds, match="are not through after the client has been there"):
        fluid(1000, evenings(), "restart")
    assert fluid(1000, evenings(), "resume") == Outcome(22.0, 1000, 0)


def test_capacity_after_the_client_has_left_does_not_matter():
    dead = Capacity([0, 2], [100.0, 0.0])
    short = Capacity([0], [100.0], duration=2, past_end="error")
    for capacity in (dead, short):
        assert interrupted(Fluid(), capacity, 1000, 0, 0, [(0, 1)], "lost") == Outcome(
            None, 100, 100
        )
    with pytest.raises(TransferNeverEnds):
        interrupted(Fluid(), dead, 1000, 0, 0, [(0, math.inf)], "resume")
    with pytest.raises(TraceError):
        interrupted(Fluid(), short, 1000, 0, 0, [(0, 3)], "resume")


@pytest.mark.parametrize("windows", [[(4, 4)], [(4, 3)], [(0, 4), (3, 5)], [(math.nan, 3)]])
def test_not_windows(windows):
    with pytest.raises(ValueError, match="allowed are windows in the order of time"):
        fluid(1000, windows, "resume")


def test_not_a_rule():
    with pytest.raises(ScenarioError, match=r"found the rule 'forget'.*resume, restart, lost"):
        fluid(1000, [(0, 4)], "forget")


@given(
    st.sampled_from(TRANSPORTS), links(), payloads, st.floats(0, 50), trips, presences(),
    st.sampled_from(["resume", "restart", "lost"]),
)  # fmt: skip
def test_sent_is_received_or_lost(transport, capacity, size, start, round_trip, windows, rule):
    outcome = interrupted(transport, capacity, size, start, round_trip, windows, rule)
    received = outcome.sent_bytes - outcome.lost_bytes
    assert received == (0 if outcome.finish is None else size)
    assert outcome.lost_bytes >= 0
    if rule == "resume" and outcome.finish is not None:
        assert outcome.lost_bytes == 0
    if outcome.finish is None:
        # Who stays for ever gets it through, but for a transfer that was given up before.
        assert rule == "lost" or windows[-1][1] < math.inf
    else:
        left = transport.pace(size, round_trip).closing
        assert any(begin <= outcome.finish <= end + left + 1e-9 for begin, end in windows)
        assert outcome.finish >= transport.finish_time(capacity, size, start, round_trip) - 1e-6
        # No more than the link can have carried while the client was there.
        there = sum(
            capacity.bytes_between(max(start, begin), min(end, outcome.finish))
            for begin, end in windows
            if min(end, outcome.finish) > max(start, begin)
        )
        assert outcome.sent_bytes <= there * (1 + 1e-9) + 1


@given(links(), payloads, st.floats(0, 50), presences())
def test_resuming_is_never_later_than_starting_over(capacity, size, start, windows):
    resumed, restarted, lost = (
        interrupted(Fluid(), capacity, size, start, 0.1, windows, rule)
        for rule in ("resume", "restart", "lost")
    )
    if restarted.finish is not None:
        assert resumed.finish is not None
        assert resumed.finish <= restarted.finish + 1e-6
    if lost.finish is not None:
        assert resumed == restarted == lost


@given(links(), payloads, st.floats(0, 50), presences())
def test_a_resumed_fluid_transfer_is_one_over_a_capacity_with_gaps(capacity, size, start, windows):
    outcome = interrupted(Fluid(), capacity, size, start, 0.1, windows, "resume")
    if outcome.finish is not None:
        sent = sum(
            capacity.bytes_between(max(start, begin), min(end, outcome.finish))
            for begin, end in windows
            if min(end, outcome.finish) > max(start, begin)
        )
        # Whole bytes are kept: up to one is sent again after each interruption.
        assert size - 1e-3 <= sent <= size + len(windows) + 1e-3
