"""Whatever a file holds, the only thing that happens is an error of one line, soon."""

import io
import json
import os
import pickle
import struct
import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fsim.core.errors import TraceError
from fsim.network.formats import (
    FORMATS,
    plain_pickle,
    read_availability,
    read_client_rates,
    read_trace,
)

VALID = {
    "csv": b"time_s,rate_mbit_s\n0,8\n1.5,0\n3,1.6\n",
    "mahimahi": b"0\n3\n10\n11\n11\n41\n",
    "cooked": b"0\t8\n2\t16\n5 24\n",
    "hsdpa": b"1289406399 549 59.8 10.7 248439 549\n1289406400 1549 59.8 10.7 100000 1000\n",
    "gnettrack": b"Timestamp,DL_bitrate\n2019.12.31_23.59.59,80\n2020.01.01_00.00.01,-\n",
    "iperf3": json.dumps({
        "start": {"test_start": {"reverse": 0}},
        "intervals": [{"sum": {"start": 0, "end": 1, "bits_per_second": 8, "sender": True}}],
    }).encode(),
    "tc": b"tc qdisc add dev eth0 root tbf rate 4mbit\nsleep 3\ntc qdisc del dev eth0 root\n",
    "simgrid": b"PERIODICITY 5\n0 100\n2 50\n",
    "fedscale": pickle.dumps({7: {"computation": 162.0, "communication": 8000.0}}, 4),
    "flash": b'{"a": {"down_u": 100, "down_sigma": 10, "up_u": 50, "up_sigma": 5}}',
}  # fmt: skip
AVAILABILITY = (
    pickle.dumps({3: {"active": [10, 70], "inactive": [50, 100], "finish_time": 100}}),
    b'{"a": {"messages": "2020-01-01 00:00:00\\twifi\\n2020-01-01 00:00:10\\tscreen_off\\n"}}',
)
FUZZ = settings(max_examples=150, deadline=2000, suppress_health_check=list(HealthCheck))


def survives(call):
    """Only a TraceError of one line comes out, or a result."""
    try:
        call()
        message = ""
    except TraceError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 1000


@st.composite
def mutations(draw, valid):
    content = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "repeat"]))
        if kind == "flip" and at < len(content):
            content[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at : at + draw(st.integers(1, 20))]
        elif kind == "insert":
            digits = st.sampled_from([b"9", b"-", b"e308", b"nan", b"1e999", b"\n", b"\0", b"\xff"])
            content[at:at] = draw(st.one_of(st.binary(max_size=8), digits))
        else:
            content[at:at] = content[at : at + draw(st.integers(1, 40))] * 3
    return bytes(content)


def test_the_valid_files_are_valid(tmp_path):
    assert set(VALID) == set(FORMATS)
    for name, content in VALID.items():
        path = tmp_path / name
        path.write_bytes(content)
        options = {"missing": "hold"} if name == "gnettrack" else {}
        read_trace(path, name, **options)
    for content in AVAILABILITY:
        path.write_bytes(content)
        read_availability(path)


@pytest.mark.parametrize("name", FORMATS)
@FUZZ
@given(data=st.data())
def test_mutated_files(name, data, tmp_path):
    path = tmp_path / "trace"
    path.write_bytes(data.draw(mutations(VALID[name])))
    survives(lambda: read_trace(path, name))
    survives(lambda: read_trace(path))


@pytest.mark.parametrize("name", FORMATS)
@FUZZ
@given(content=st.binary(max_size=300))
@example(content=b"")
@example(content=b"\n")
@example(content=b"\0" * 100)
@example(content=b"1" * 100_000)
@example(content=b"1 " * 100_000)
@example(content=b"[" * 100_000)
@example(content=b'{"a":' * 100_000)
@example(content=b"\n" * 100_000)
@example(content=b'"' * 100_000)
@example(content="\u2028\u0661 \u0662".encode())
def test_random_bytes(name, content, tmp_path):
    path = tmp_path / "trace"
    path.write_bytes(content)
    survives(lambda: read_trace(path, name))


@pytest.mark.parametrize("valid", AVAILABILITY, ids=["fedscale", "flash"])
@FUZZ
@given(data=st.data())
def test_mutated_clients(valid, data, tmp_path):
    path = tmp_path / "clients"
    path.write_bytes(data.draw(mutations(valid)))
    survives(lambda: read_availability(path))
    survives(lambda: read_availability(path, "drop"))
    survives(lambda: read_client_rates(path))


@pytest.mark.parametrize("valid", [VALID["fedscale"], *AVAILABILITY])
def test_every_truncation_is_refused(valid, tmp_path):
    path = tmp_path / "clients"
    for end in range(len(valid)):
        path.write_bytes(valid[:end])
        for read in (read_client_rates, read_availability):
            with pytest.raises(TraceError):
                read(path)


class Evil:
    def __reduce__(self):
        return os.system, ("echo pwned > /tmp/fsim-pwned-by-a-pickle",)


def deep(opening, closing, depth):
    return b"\x80\x04" + opening * depth + closing * depth + b"."


GLOBAL = b"cos\nsystem\n(S'echo pwned'\ntR."
HOSTILE = {
    "os.system": pickle.dumps({1: Evil()}),
    "os.system, protocol 0": GLOBAL,
    "inst": b"(S'echo pwned'\nios\nsystem\n.",
    "builtins.eval": b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
    "extension": b"\x80\x02\x82\x01.",
    "persistent id": b"Pabc\n.",
    "a class": pickle.dumps(io.BytesIO(b"x")),
    "a set": pickle.dumps({1, 2}),
    "a tuple as key": pickle.dumps({(1, 2): 3}),
    "bytes": pickle.dumps(b"x" * 10),
    "bytearray of 8 EiB": b"\x80\x05\x96" + struct.pack("<Q", 2**63 - 1) + b".",
    "text of 2 GiB": b"\x80\x04X" + struct.pack("<I", 2**31 - 1) + b"a.",
    "text of 8 EiB": b"\x80\x04\x8d" + struct.pack("<Q", 2**63 - 1) + b"a.",
    "number of 2 GiB": b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"1.",
    "number of a negative length": b"\x80\x04\x8b" + struct.pack("<i", -5) + b"1.",
    "frame of 8 EiB": b"\x80\x04\x95" + struct.pack("<Q", 2**63 - 1) + b"N.",
    "remembered at 4 billion": b"\x80\x04Nr\xff\xff\xff\xff.",
    "remembered at a long number": b"Np" + b"9" * 5000 + b"\n.",
    "a number of 100 000 digits": b"L" + b"9" * 100_000 + b"L\n.",
    "deep lists": deep(b"]", b"a", 200_000),
    "deep marks": deep(b"(", b"l", 200_000),
    "deep tuples": b"\x80\x04)" + b"\x85" * 200_000 + b".",
    "many empty lists": b"\x80\x04(" + b"]" * 200_000 + b"l.",
    "many memories": b"\x80\x04N" + b"\x94" * 200_000 + b".",
    "a list of itself": b"\x80\x04]\x94h\x00a.",
    "a dict of itself": b"\x80\x04}\x94K\x01h\x00s.",
    "a list as key": b"\x80\x04}]Ns.",
    "stack underflow": b"\x80\x04a.",
    "nothing": b"\x80\x04.",
    "protocol 200": b"\x80\xc8N.",
    "text that is not UTF-8": b"\x80\x04\x8c\x02\xff\xfe.",
    "billion laughs": b"\x80\x04](K\x01K\x01e\x94" + b"".join(
        b"](" + b"h" + bytes([at]) + b"h" + bytes([at]) + b"e\x94" for at in range(60)
    ) + b".",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("read", [read_client_rates, read_availability, read_trace])
def test_hostile_pickles(name, read, tmp_path, monkeypatch):
    monkeypatch.setattr(plain_pickle, "MOST_THINGS", 100_000)
    path = tmp_path / "hostile"
    path.write_bytes(HOSTILE[name])
    options = {"format": "fedscale"} if read is read_trace else {}
    begin = time.monotonic()
    with pytest.raises(TraceError) as caught:
        read(path, **options)
    assert time.monotonic() - begin < 20
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert not os.path.exists("/tmp/fsim-pwned-by-a-pickle")


@pytest.mark.parametrize(
    "name",
    ["bytearray of 8 EiB", "text of 8 EiB", "number of 2 GiB", "remembered at 4 billion",
     "deep lists", "deep marks", "deep tuples"],
)  # fmt: skip
def test_hostile_pickles_take_no_memory_to_speak_of(name, tmp_path):
    path = tmp_path / "hostile"
    path.write_bytes(HOSTILE[name])
    tracemalloc.start()
    with pytest.raises(TraceError):
        read_client_rates(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_what_a_pickle_makes_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(plain_pickle, "MOST_THINGS", 1000)
    path = tmp_path / "many"
    path.write_bytes(pickle.dumps({at: {} for at in range(2000)}))
    with pytest.raises(TraceError, match="found more than 1000 containers and texts in the pickle"):
        read_client_rates(path)


def test_the_refused_instruction_is_named(tmp_path):
    path = tmp_path / "evil"
    path.write_bytes(HOSTILE["os.system"])
    with pytest.raises(TraceError, match="found the instruction STACK_GLOBAL in the pickle"):
        read_client_rates(path)
    path.write_bytes(HOSTILE["deep tuples"])
    with pytest.raises(TraceError, match="found the instruction EMPTY_TUPLE"):
        read_client_rates(path)


def test_folders_and_pipes_are_no_traces(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", tmp_path / "no\0name"):
        for name in FORMATS:
            with pytest.raises(TraceError, match=r"no such trace file|cannot be read"):
                read_trace(place, name)
        with pytest.raises(TraceError, match=r"no such trace file|cannot be read"):
            read_availability(place)
