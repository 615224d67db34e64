"""A recorded run played by Flower's own server and clients."""

import pytest

from benchmarks.sockets.flower import play
from benchmarks.sockets.namespaces import NEEDS, why_not
from benchmarks.sockets.recorded import Recording, Round, Upload, Way


@pytest.mark.extras("flwr")
def test_rounds_are_played_by_flower(tmp_path):
    if why_not() is not None:
        pytest.skip(NEEDS)
    payload = tmp_path / "payload"
    payload.write_bytes(bytes(50_000))
    uploads = tuple(Upload(client, payload, 0.0, False) for client in (0, 1))
    rounds = tuple(Round(number, 20_000, uploads, 0.0) for number in (1, 2, 3))
    ways = {0: Way(8e6, 20e6, 0.08), 1: Way(4e6, 20e6, 0.08)}
    played = play(Recording(ways, None, None, 2, None, rounds))
    assert len(played) == 3
    for each in played:
        assert set(each.uploads) == {0, 1}
        # Two trips of half a round trip, and 50 kB at the slower client's 4 Mbit/s.
        assert max(each.uploads.values()) >= 0.08 + 50_000 * 8 / 4e6
        assert max(each.uploads.values()) <= each.seconds + 0.001
        assert each.seconds < 5
