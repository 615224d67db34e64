import itertools
import json
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import OutputError
from fsim.records import SERVER, Kind, Recorder
from fsim.report.timeline import events, write_timeline
from tests.results.made import recorder


def timeline(made, tmp_path):
    path = tmp_path / "timeline.json"
    count = write_timeline(made.records(), made.evaluations(), path)
    found = json.loads(path.read_text())["traceEvents"]
    assert len(found) == count
    return found


def test_slices_last_as_long_as_the_records(tmp_path):
    made = recorder(rounds=5, lost=(2, 1))
    found = timeline(made, tmp_path)
    slices = [event for event in found if event["ph"] == "X"]
    records = made.records()
    lasting = records[records["duration_s"] > 0]
    assert len(slices) == len(lasting)
    for event, (_, row) in zip(slices, lasting.iterrows(), strict=True):
        assert event["ts"] / 1e6 == pytest.approx(row["time_s"], abs=1e-9)
        assert event["dur"] / 1e6 == pytest.approx(row["duration_s"], abs=1e-9)
        assert event["args"]["bytes"] == row["bytes"]
        assert event["cat"] == row["kind"]
    instants = [event for event in found if event["ph"] == "i"]
    assert {event["name"] for event in instants} == {"receive"}
    (lost,) = (event for event in slices if event["name"] == "lost")
    assert lost["dur"] == pytest.approx(30e6)


def test_tracks_are_the_clients_and_the_server(tmp_path):
    found = timeline(recorder(clients=3), tmp_path)
    names = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in found
        if event["name"] == "thread_name"
    }
    assert set(names.values()) == {"rounds", "client 0", "client 1", "client 2"}
    for event in found:
        if event["ph"] == "X":
            kind = "rounds" if event["cat"] == "round" else "client"
            assert names[event["pid"], event["tid"]].startswith(kind)


def test_slices_of_a_track_never_overlap(tmp_path):
    made = Recorder()
    made.record(Kind.COMPUTE, 0, 5, 1, 1)
    made.record(Kind.COMPUTE, 3, 5, 1, 2)
    made.record(Kind.UPLOAD, 5, 1, 1, 1, 10)
    made.record(Kind.ROUND, 0, 9, SERVER, 1)
    made.record(Kind.ROUND, 4, 8, SERVER, 2)
    tracks = defaultdict(list)
    for event in timeline(made, tmp_path):
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert len(tracks) == 4
    for own in tracks.values():
        own.sort()
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(own))


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=30))
def test_slices_end_where_the_next_begins_to_the_last_bit(durations):
    made, now = Recorder(), 0.0
    for number, lasts in enumerate(durations, 1):
        made.record(Kind.COMPUTE, now, lasts, 1, number)
        made.record(Kind.ROUND, now, lasts, SERVER, number)
        now += lasts
    slices = defaultdict(list)
    for event in events(made.records(), made.evaluations()):
        if event["ph"] == "X":
            slices[event["cat"]].append(event)
    for own in slices.values():
        # On one track, and no slice begins before the one before it has ended, as viewers add.
        assert len({(event["pid"], event["tid"]) for event in own}) == 1
        assert all(a["ts"] + a["dur"] <= b["ts"] for a, b in itertools.pairwise(own))
        # Begins and ends are rounded to ticks of less than a nanosecond.
        assert [event["dur"] for event in own] == pytest.approx(
            [1e6 * lasts for lasts in durations], abs=2e-3
        )


def test_bytes_in_flight_worked_by_hand(tmp_path):
    made = Recorder()
    made.record(Kind.UPLOAD, 0, 4, 1, 1, 100)
    made.record(Kind.UPLOAD, 2, 2, 2, 1, 30)
    made.record(Kind.UPLOAD, 4, 1, 1, 1, 7)
    counted = [
        (event["ts"] / 1e6, event["args"][event["name"]])
        for event in timeline(made, tmp_path)
        if event["name"] == "uplink bytes in flight"
    ]
    assert counted == [(0, 100), (2, 130), (4, 7), (5, 0)]


def test_capacity_in_use_worked_by_hand(tmp_path):
    made = Recorder()
    made.record(Kind.DOWNLOAD, 0, 4, 1, 1, 100, details={"capacity": 50.5})
    made.record(Kind.DOWNLOAD, 2, 2, 2, 1, 30, details={"capacity": 20.25})
    made.record(Kind.UPLOAD, 5, 2, 2, 1, 30)
    counted = [
        (event["name"], event["ts"] / 1e6, event["args"][event["name"]])
        for event in timeline(made, tmp_path)
        if "capacity" in event["name"]
    ]
    # Nothing of the uplink, whose record does not tell.
    name = "downlink capacity in use, B/s"
    assert counted == [(name, 0, 50.5), (name, 2, 70.75), (name, 4, 0)]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    made = recorder(rounds=1)
    with pytest.raises(OutputError, match="cannot be written"):
        write_timeline(made.records(), made.evaluations(), tmp_path / "file" / "x.json")
