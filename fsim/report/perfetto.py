"""A run on a time line in Perfetto's own form: packets of its protocol buffers.

What is shown is that of :mod:`fsim.report.timeline`, event by event: a process is a track, each of
its threads a track below it, a counter another. Times are whole nanoseconds of simulated time.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import (
    CounterDescriptor,
    TracePacket,
    TrackDescriptor,
    TrackEvent,
)
from perfetto.trace_builder.proto_builder import StreamingTraceProtoBuilder

from fsim.report.timeline import Event, events
from fsim.results.saving import replacing_file

NANOSECONDS = 1000
"""In a microsecond."""

_BEGIN = TrackEvent.Type.Value("TYPE_SLICE_BEGIN")
_END = TrackEvent.Type.Value("TYPE_SLICE_END")
_INSTANT = TrackEvent.Type.Value("TYPE_INSTANT")
_COUNTER = TrackEvent.Type.Value("TYPE_COUNTER")
_CLEARED = TracePacket.SequenceFlags.Value("SEQ_INCREMENTAL_STATE_CLEARED")
_EXPLICIT = TrackDescriptor.ChildTracksOrdering.Value("EXPLICIT")

_UNITS = {"bytes": CounterDescriptor.Unit.Value("UNIT_SIZE_BYTES")}


def write_perfetto(
    records: pd.DataFrame, evaluations: pd.DataFrame, path: Path, name: str = "fsim"
) -> int:
    """Write a run's time line as Perfetto reads it, and return the number of its events.

    Parameters
    ----------
    records, evaluations, name
        As for :func:`fsim.report.timeline.write_timeline`.
    path
        The file, usually ``.pftrace``, replaced if it exists.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with replacing_file(path) as temporary, temporary.open("wb") as file:
        return _Writer(StreamingTraceProtoBuilder(file)).write(events(records, evaluations, name))


class _Writer:
    """Turns events into packets of one sequence."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder
        self._first = True
        self._counters: dict[str, int] = {}

    def write(self, timeline: Iterable[Event]) -> int:
        """Write them in order, and return how many there were."""
        # A thread has its name and its place among the others from two events.
        names: dict[tuple[int, int], str] = {}
        count = 0
        for event in timeline:
            count += 1
            match event["ph"], event["name"]:
                case "M", "process_name":
                    self._process(event)
                case "M", "thread_name":
                    names[event["pid"], event["tid"]] = event["args"]["name"]
                case "M", _:
                    self._thread(event, names[event["pid"], event["tid"]])
                case "X", _:
                    self._slice(event)
                case "i", _:
                    self._at(event, _INSTANT, event["ts"], details=True)
                case _:
                    self._counter(event)
        return count

    def _process(self, event: Event) -> None:
        packet = self._packet()
        track = packet.track_descriptor
        track.uuid = _process_track(event["pid"])
        track.process.pid = event["pid"]
        track.process.process_name = event["args"]["name"]
        track.child_ordering = _EXPLICIT
        self._builder.write_packet(packet)

    def _thread(self, event: Event, name: str) -> None:
        packet = self._packet()
        track = packet.track_descriptor
        track.uuid = _thread_track(event)
        track.parent_uuid = _process_track(event["pid"])
        track.name = name
        track.sibling_order_rank = event["args"]["sort_index"]
        self._builder.write_packet(packet)

    def _slice(self, event: Event) -> None:
        self._at(event, _BEGIN, event["ts"], details=True)
        self._at(event, _END, event["ts"] + event["dur"], details=False)

    def _at(self, event: Event, kind: int, time: float, *, details: bool) -> None:
        """An event of a thread's track; ``details`` writes what it is with it."""
        packet = self._packet(time)
        own = packet.track_event
        own.type = kind
        own.track_uuid = _thread_track(event)
        if details:
            own.name = event["name"]
            own.categories.append(event["cat"])
            for name, value in event["args"].items():
                _annotate(own.debug_annotations.add(), name, value)
        self._builder.write_packet(packet)

    def _counter(self, event: Event) -> None:
        name = event["name"]
        if name not in self._counters:
            self._counters[name] = _counter_track(len(self._counters))
            packet = self._packet()
            track = packet.track_descriptor
            track.uuid, track.name = self._counters[name], name
            track.parent_uuid = _process_track(event["pid"])
            track.counter.unit = _UNITS["bytes"] if "bytes" in name else 0
            self._builder.write_packet(packet)
        packet = self._packet(event["ts"])
        packet.track_event.type = _COUNTER
        packet.track_event.track_uuid = self._counters[name]
        packet.track_event.double_counter_value = event["args"][name]
        self._builder.write_packet(packet)

    def _packet(self, time: float | None = None) -> Any:
        packet = self._builder.create_packet()
        packet.trusted_packet_sequence_id = 1
        if self._first:
            packet.sequence_flags = _CLEARED
            self._first = False
        if time is not None:
            packet.timestamp = round(time * NANOSECONDS)
        return packet


def _process_track(process: int) -> int:
    return process


def _counter_track(number: int) -> int:
    return (1 << 16) + number


def _thread_track(event: Event) -> int:
    process, thread = int(event["pid"]), int(event["tid"])
    return (process << 48) + thread


def _annotate(annotation: Any, name: str, value: Any) -> None:
    """Whatever JSON can express."""
    annotation.name = name
    match value:
        case bool():
            annotation.bool_value = value
        case int():
            annotation.int_value = value
        case float():
            annotation.double_value = value
        case dict():
            for key, inner in value.items():
                _annotate(annotation.dict_entries.add(), key, inner)
        case list():
            for inner in value:
                _annotate(annotation.array_values.add(), "", inner)
        case _:
            annotation.string_value = str(value)
