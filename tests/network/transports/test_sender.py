"""Windows of a sender, flight by flight, and what a transfer leaves behind."""

import math

import pytest

from fsim.network import Tcp
from fsim.network.transports.pace import Pace, Window
from fsim.network.transports.packet_losses import EvenLosses
from fsim.network.transports.sender import Sender

FLIGHT = 15_000.0


def test_a_window_grows_with_what_is_acknowledged_and_is_never_below_the_first():
    def left(window, wire):
        return Sender(Pace(wire, flight=window), 0.1).final_window()

    # A handshake and one flight were timed; and a stream of ten windows.
    assert left(60_000.0, 45_000.0) == Window(90_000, trips=2)
    # No larger than twice of what it has in the air.
    assert left(60_000.0, 35_000.0) == Window(70_000, trips=2)
    assert left(60_000.0, 20_000.0) == Window(60_000, trips=2)
    assert left(60_000.0, 600_000) == Window(120_000, trips=11)
    assert left(3_000.0, 3_000.0) == Window(15_000, trips=2)


def test_flights_double_and_lose():
    # Each tenth is lost, the handshake's first counted as number 0.
    pace = Tcp(0.1, "even", congestion="reno").pace(144_800, 0.1)
    sender = Sender(pace, 0.1)
    assert (sender.flight, sender.rest) == (FLIGHT, 150_000)
    # Numbers 1 to 10, of which 9 is lost: half of 10 goes on.
    assert sender.acknowledge(0.1) == 0
    assert (sender.window, sender.rest) == (7_500, 150_000 - 9 * 1500)
    # 11 to 15, none lost: a segment more; 16 to 21, of which 19 is.
    sender.acknowledge(0.1)
    assert sender.window == 9_000
    sender.acknowledge(0.1)
    assert (sender.window, sender.rest) == (4_500, 150_000 - 19 * 1500)
    window = sender.final_window()
    assert (window.size, window.threshold) == (4_500, 4_500)


def test_a_way_that_is_full_does_not_double_the_window_of_a_lossy_transfer():
    sender = Sender(Pace(1e6, flight=FLIGHT, losses=EvenLosses(0.001)), 0.1)
    sender.acknowledge(0.2)
    assert sender.window == FLIGHT
    sender.acknowledge(0.1)
    assert sender.window == 2 * FLIGHT


def test_what_is_left_follows_without_a_pause():
    lossless = Sender(Pace(1e6, flight=FLIGHT), 0.1)
    assert not lossless.streams(150_001)
    assert lossless.streams(150_000)
    lossy = Sender(Pace(1e6, flight=FLIGHT, losses=EvenLosses(0.01)), 0.1)
    assert not lossy.streams(150_000)
    # No loss is to come in what is left.
    lucky = Sender(Pace(100_000, flight=FLIGHT, losses=EvenLosses(0.01)), 0.1)
    assert lucky.streams(150_000)


def test_a_kept_window_above_its_threshold_does_not_double():
    sender = Sender(Pace(1e6, flight=FLIGHT, threshold=FLIGHT), 0.1)
    sender.acknowledge(0.1)
    assert FLIGHT < sender.window <= 16_500
    assert math.isfinite(sender.final_window().threshold)


def test_the_last_packet_is_missed_by_a_timer():
    sender = Sender(Pace(3_000, flight=FLIGHT, losses=EvenLosses(0.5)), 0.1)
    assert sender.acknowledge(0.1) == pytest.approx(0.1)
    assert sender.rest == 1_500
    # Number 2 arrives.
    assert sender.acknowledge(0.1) == 0
    assert sender.rest == 0


def test_a_window_that_has_doubled_beyond_all_numbers_sends_what_is_left():
    # BBR's, of which 0.9 are lost, doubles with each of some 1000 round trips.
    pace = Tcp(0.9, "even", congestion="bbr").pace(10**5, 0.1)._replace(flight=math.inf)
    sender = Sender(pace, 0.1)
    assert sender.flight == sender.rest == pace.wire
    sender.acknowledge(0.1)
    assert 0 < sender.rest < pace.wire
    assert sender.flight == sender.rest
