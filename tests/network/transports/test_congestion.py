import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.network.transports.congestion import CONGESTION, Bbr, Cubic, Reno

windows = st.floats(2, 1e4)


def test_reno_by_hand():
    reno = Reno()
    assert reno.reduced(20) == 10
    assert reno.reduced(3) == 2
    assert reno.grown(10, 0.1, 0.1) == 11


def test_cubic_by_hand():
    # From 100 segments to 70; back at 100 after (30 / 0.4)^(1/3) = 4.217 s, a round trip ahead.
    cubic = Cubic()
    assert cubic.reduced(100) == pytest.approx(70)
    window = 70.0
    for _ in range(4):
        window = cubic.grown(window, 1.0, 0.217)
    assert window == pytest.approx(100, abs=0.01)
    # 2 s beyond that 0.4 x 2^3 more.
    for _ in range(2):
        window = cubic.grown(window, 1.0, 0.217)
    assert window == pytest.approx(103.2, abs=0.01)


def test_cubic_yields_more_if_it_is_lost_before_it_is_back():
    # Fast convergence, RFC 9438 section 4.7: 80 x (1 + 0.7) / 2 = 68 is what it comes back to.
    cubic = Cubic()
    cubic.reduced(100)
    assert cubic.reduced(80) == pytest.approx(56)
    # (12 / 0.4)^(1/3) = 3.107 s; a Reno with so few round trips is far behind.
    assert cubic.grown(56.0, 3.107, 0.0) == pytest.approx(68, abs=0.01)


def test_cubic_is_no_slower_than_reno_on_a_short_way():
    # 20 to 14 segments, 10 ms: the curve takes 2.47 s, Reno's 9/17 a round trip 0.11 s.
    cubic = Cubic()
    window = cubic.reduced(20)
    for trips in range(1, 10):
        window = cubic.grown(window, 0.01, 0.01)
        assert window == pytest.approx(14 + trips * 9 / 17)


def test_a_window_that_was_kept_grows_from_where_it_is():
    cubic = Cubic()
    assert 30 < cubic.grown(30, 0.1, 0.1) <= 31


def test_bbr_stays():
    assert Bbr().reduced(50) == Bbr().grown(50, 1, 0.1) == 50
    assert not Bbr.restarts


@given(st.sampled_from(sorted(CONGESTION)), windows, st.floats(1e-3, 10), st.floats(1e-3, 1))
def test_losses_never_enlarge_a_window_and_time_never_makes_it_smaller(
    name, window, seconds, round_trip
):
    control = CONGESTION[name]()
    left = control.reduced(window)
    assert 2 <= left <= window
    grown = control.grown(left, seconds, round_trip)
    assert left <= grown <= max(left + 1, 1.5 * left)


@given(st.sampled_from([Cubic, Reno]), st.floats(400, 1e4))
def test_the_mean_between_two_losses_is_that_of_the_windows_in_between(control, highest):
    # CUBIC's curve in 50 steps, in which a Reno would be far behind; Reno's own line.
    sender, windows = control(), []
    windows.append(sender.reduced(highest))
    seconds = (highest * 0.3 / 0.4) ** (1 / 3) / 50
    while windows[-1] < highest * 0.99999:
        windows.append(sender.grown(windows[-1], seconds, 0.0))
    mean = (sum(windows) - (windows[0] + windows[-1]) / 2) / (len(windows) - 1)
    assert mean == pytest.approx(control.mean * highest, rel=0.01)
