"""The time line in Perfetto's form, read back with the package's own classes."""

from collections import defaultdict

import pandas as pd
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

from fsim.core.errors import OutputError
from fsim.records import SERVER, Kind, Recorder
from fsim.report.perfetto import write_perfetto
from tests.results.made import recorder

BEGIN, END, INSTANT, COUNTER = (
    TrackEvent.Type.Value(f"TYPE_{name}")
    for name in ("SLICE_BEGIN", "SLICE_END", "INSTANT", "COUNTER")
)


def read(made, tmp_path):
    """Tracks by their number, and the packets of events."""
    path = tmp_path / "timeline.pftrace"
    write_perfetto(made.records(), made.evaluations(), path, "float16")
    trace = Trace()
    trace.ParseFromString(path.read_bytes())
    assert all(packet.trusted_packet_sequence_id == 1 for packet in trace.packet)
    described = [p.track_descriptor for p in trace.packet if p.HasField("track_descriptor")]
    tracks = {track.uuid: track for track in described}
    assert len(tracks) == len(described)
    return tracks, [packet for packet in trace.packet if packet.HasField("track_event")]


def slices(packets):
    """(track, begin, end, packet of the begin) of each slice, in nanoseconds."""
    opened, found = defaultdict(list), []
    for packet in sorted(packets, key=lambda packet: packet.timestamp):
        track = packet.track_event.track_uuid
        if packet.track_event.type == BEGIN:
            opened[track].append(packet)
        elif packet.track_event.type == END:
            begun = opened[track].pop()
            found.append((track, begun.timestamp, packet.timestamp, begun))
    assert not any(opened.values())
    return found


def test_durations_are_the_records(tmp_path):
    made = recorder(rounds=5, lost=(2, 1), sections={"header": 16, "values": 984})
    tracks, packets = read(made, tmp_path)
    records = made.records()
    lasting = records[records["duration_s"] > 0]
    found = pd.DataFrame(
        [
            (begun.track_event.categories[0], begin / 1e9, (end - begin) / 1e9,
             tracks[track].name)
            for track, begin, end, begun in slices(packets)
        ],
        columns=["kind", "time_s", "duration_s", "track"],
    ).sort_values(["time_s", "kind", "track"])  # fmt: skip
    names = ["rounds" if c == SERVER else f"client {c}" for c in lasting["client"]]
    expected = lasting.assign(track=names).sort_values(["time_s", "kind", "track"])
    assert found["kind"].tolist() == expected["kind"].tolist()
    assert found["track"].tolist() == expected["track"].tolist()
    for column in ("time_s", "duration_s"):
        assert found[column].tolist() == pytest.approx(expected[column].tolist(), abs=2e-9)


def test_a_track_a_client_below_its_process(tmp_path):
    tracks, packets = read(recorder(clients=3), tmp_path)
    processes = {
        uuid: t.process.process_name for uuid, t in tracks.items() if t.HasField("process")
    }
    assert sorted(processes.values()) == ["float16: clients", "float16: server"]
    below = {t.name: processes[t.parent_uuid] for t in tracks.values() if t.name}
    for client in range(3):
        assert below[f"client {client}"] == "float16: clients"
    assert below["rounds"] == "float16: server"
    assert all(packet.track_event.track_uuid in tracks for packet in packets)
    ranks = [t.sibling_order_rank for t in tracks.values() if t.name.startswith("client ")]
    assert ranks == sorted(ranks)


def test_what_a_record_tells_comes_with_its_slice(tmp_path):
    made = Recorder()
    details = {"payload": {"header": 16}, "list": [1, 2.5, True], "reason": "why"}
    made.record(Kind.UPLOAD, 1.0, 2.0, 3, 1, 40, 4.0, details)
    _, packets = read(made, tmp_path)
    (_, _, _, begun), *_ = slices(packets)
    told = {each.name: each for each in begun.track_event.debug_annotations}
    assert (told["round"].int_value, told["bytes"].int_value) == (1, 40)
    assert told["energy_j"].double_value == 4.0
    assert told["reason"].string_value == "why"
    (section,) = told["payload"].dict_entries
    assert (section.name, section.int_value) == ("header", 16)
    whole, half, yes = told["list"].array_values
    assert (whole.int_value, half.double_value, yes.bool_value) == (1, 2.5, True)


def test_counters_and_instants(tmp_path):
    made = Recorder()
    made.evaluation(0.0, 0, 0.0, 1.0, 2.7)
    made.record(Kind.UPLOAD, 0, 4, 1, 1, 100, details={"capacity": 50.0})
    made.record(Kind.RECEIVE, 4, 0, 1, 1, 100)
    made.evaluation(5.0, 1, 0.25, 1.0, 2.7)
    tracks, packets = read(made, tmp_path)
    counted = defaultdict(list)
    for packet in packets:
        if packet.track_event.type == COUNTER:
            name = tracks[packet.track_event.track_uuid].name
            counted[name].append((packet.timestamp, packet.track_event.double_counter_value))
    assert counted["uplink bytes in flight"] == [(0, 100), (4_000_000_000, 0)]
    assert counted["uplink capacity in use, B/s"] == [(0, 50), (4_000_000_000, 0)]
    assert counted["accuracy"] == [(0, 0), (5_000_000_000, 0.25)]
    (instant,) = [p for p in packets if p.track_event.type == INSTANT]
    assert (instant.timestamp, instant.track_event.name) == (4_000_000_000, "receive")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    made = recorder(rounds=1)
    with pytest.raises(OutputError, match="cannot be written"):
        write_perfetto(made.records(), made.evaluations(), tmp_path / "file" / "x.pftrace")
