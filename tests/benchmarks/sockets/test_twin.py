"""Real sockets in namespaces of their own, where they can be made."""

import os
import statistics
import subprocess

import pytest

from benchmarks.sockets.namespaces import NEEDS, why_not
from benchmarks.sockets.recorded import Recording, Round, Upload, Way
from benchmarks.sockets.twin import certificate, play
from fsim.network import Capacity, Opening, Tcp
from fsim.network.transports.pace import NEW_WINDOW

DOWN, UP, TRIP = 20e6, 8e6, 0.08


@pytest.fixture
def recording(tmp_path):
    """Three rounds of two clients: a new connection, and then one that is kept."""
    if why_not() is not None:
        pytest.skip(NEEDS)
    payload = tmp_path / "payload"
    payload.write_bytes(bytes(50_000))
    uploads = (Upload(0, payload, 0.0, False), Upload(1, payload, 0.0, False))
    rounds = tuple(Round(number, 20_000, uploads, 0.0) for number in (1, 2, 3))
    ways = {0: Way(UP, DOWN, TRIP), 1: Way(UP / 2, DOWN, TRIP)}
    return Recording(ways, None, None, 2, None, rounds)


def seconds(up, new, tls=None):
    """Of a client's round by itself: the download, and the upload after it."""
    tcp = Tcp(tls=tls or "none")
    kept = Opening(NEW_WINDOW)
    asked = Opening(None, fetched=True) if new else kept
    end = tcp.finish_time(Capacity.constant(DOWN / 8), 20_000, 0.0, TRIP, asked)
    return tcp.finish_time(Capacity.constant(up / 8), 50_000, end, TRIP, kept)


def test_rounds_over_sockets_take_what_fsim_says(recording):
    played = [play(recording, "cubic", fresh=False) for _ in range(2)]
    for client, up in ((0, UP), (1, UP / 2)):
        first = min(each[0].uploads[client] for each in played)
        assert first == pytest.approx(seconds(up, new=True), rel=0.15, abs=0.04)
    # A busy machine only ever adds.
    again = min(round_.seconds for each in played for round_ in each[1:])
    assert again < statistics.mean(each[0].seconds for each in played) - TRIP
    assert again <= seconds(UP / 2, new=False) * 1.15 + 0.04


def test_a_handshake_of_tls_takes_a_round_trip(recording, tmp_path):
    plain = min(play(recording, "cubic", fresh=False)[0].seconds for _ in range(2))
    identity = certificate(tmp_path)
    secured = min(play(recording, "cubic", fresh=False, tls=identity)[0].seconds for _ in range(2))
    assert secured - plain == pytest.approx(TRIP, abs=0.04)


def test_nothing_is_left_behind(recording):
    abandoned = "fsim-999999999-server"
    subprocess.run(["ip", "netns", "add", abandoned], check=True)
    play(recording, "cubic", fresh=True)
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    assert f"fsim-{os.getpid()}-" not in names
    # Nor what a process has left that was killed.
    assert abandoned not in names
