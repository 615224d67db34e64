"""Scripts of tc and profiles of SimGrid."""

import pytest

from fsim.core.errors import TraceError
from fsim.network.formats import read_trace
from fsim.network.formats.tc_script import parse_rate


def write(folder, text, name="trace"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def lists(pieces):
    return pieces[0].tolist(), pieces[1].tolist(), pieces[2]


@pytest.mark.parametrize(
    ("text", "bytes_per_second"),
    [
        # The table of tc(8): bit is bits, bps is BYTES; SI by 1000, IEC by 1024; bare is bit/s.
        ("8000", 1000),
        ("8bit", 1),
        ("8kbit", 1e3),
        ("4mbit", 5e5),
        ("4Mbit", 5e5),
        ("1gbit", 1.25e8),
        ("1tbit", 1.25e11),
        ("8kibit", 1024),
        ("8mibit", 2**20),
        ("8gibit", 2**30),
        ("1bps", 1),
        ("1kbps", 1e3),
        ("4mbps", 4e6),
        ("1gbps", 1e9),
        ("1kibps", 1024),
        ("1MiBps", 2**20),
        ("1.5mbit", 187500),
        ("5%", None),
        ("4mb", None),
        ("4 mbit", None),
        ("-4mbit", None),
        ("mbit", None),
    ],
)
def test_rates_of_tc(text, bytes_per_second):
    assert parse_rate(text) == bytes_per_second


SCRIPT = """#!/bin/sh
tc qdisc del dev eth0 root   # whatever was there
tc qdisc add dev eth0 root handle 1: htb default 10
tc class add dev eth0 parent 1: classid 1:10 htb rate 4mbit ceil 4mbit
sleep 3
sudo tc class change dev eth0 parent 1: classid 1:10 htb rate 1mbps
sleep 0.5m
tc qdisc change dev eth0 root netem delay 40ms loss 100%
sleep 2
sleep 1s
tc qdisc del dev eth0 root
"""


def test_a_script_by_hand(tmp_path):
    found = read_trace(write(tmp_path, SCRIPT), "tc")
    assert lists(found) == ([0, 3, 33], [5e5, 1e6, 0], 36)


def test_a_last_rate_without_sleep(tmp_path):
    path = write(tmp_path, "tc qdisc add dev eth0 root tbf rate 8bit\nsleep 1\n"
                 "tc qdisc change dev eth0 root tbf rate 16bit\n")  # fmt: skip
    with pytest.raises(TraceError, match="last=SECONDS"):
        read_trace(path, "tc")
    assert lists(read_trace(path, "tc", last=4)) == ([0, 1], [1, 2], 5)


def test_several_devices(tmp_path):
    path = write(tmp_path, "tc qdisc add dev a root tbf rate 8bit\n"
                 "tc qdisc add dev b root tbf rate 80bit\nsleep 1\n")  # fmt: skip
    with pytest.raises(TraceError, match=":2: found rates of a and b; dev= says which"):
        read_trace(path, "tc")
    assert lists(read_trace(path, "tc", dev="b")) == ([0], [10], 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no tc line with a rate"),
        ("tc qdisc add dev e root netem delay 4ms\nsleep 1\n", ":2: found a sleep while no rate"),
        ("tc qdisc add dev e root tbf rate 4mb\nsleep 1\n", ":1: found a rate of '4mb'"),
        ("tc qdisc add dev e root tbf rate 0\nsleep 1\n", ":1: found a rate of '0'"),
        ("tc class add dev e htb rate 1mbit ceil 2mbit\nsleep 1\n", "rate '1mbit' and ceil"),
        ("while true; do\n", ":1: found 'while true; do', allowed are tc and sleep lines"),
        ("tc qdisc add dev e root tbf rate 8bit\nsleep $N\n", ":2: found 'sleep $N'"),
        ("tc qdisc add dev e root tbf rate 8bit\nsleep 1\ntc qdisc del dev e root\nsleep 1\n",
         ":4: found a sleep while no rate is set"),
    ],
)  # fmt: skip
def test_what_is_no_such_script_is_refused(tmp_path, text, message):
    with pytest.raises(TraceError) as caught:
        read_trace(write(tmp_path, text), "tc")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        # Ends as SimGrid 3.32 was seen to loop: PERIODICITY 5 begins again at 5 s, wherever the
        # line stands; LOOPAFTER 5 begins again 5 s after the last time, at 7 s.
        ("PERIODICITY 5\n0 100\n2 50\n", ([0, 2], [100, 50], 5)),
        ("# a comment\n0 100\n2 50\nPERIODICITY\t5\n", ([0, 2], [100, 50], 5)),
        ("LOOPAFTER 5\n% another\n0 100\n2 50\n", ([0, 2], [100, 50], 7)),
    ],
)
def test_simgrid_profiles(tmp_path, text, pieces):
    assert lists(read_trace(write(tmp_path, text), "simgrid")) == pieces


def test_simgrid_factors_and_no_loop(tmp_path):
    path = write(tmp_path, "0 1\n2 0.5\n")
    with pytest.raises(TraceError, match="last=SECONDS"):
        read_trace(path, "simgrid")
    found = read_trace(path, "simgrid", last=3, factor_of="8 Mbit/s")
    assert lists(found) == ([0, 2], [1e6, 5e5], 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PERIODICITY 5\n", "found no lines"),
        ("PERIODICITY 2\n0 1\n2 3\n", "found PERIODICITY 2 and a last time of 2 s"),
        ("PERIODICITY x\n0 1\n", ":1: found 'x'"),
        ("PERIODICITYS 5\n0 1\n", ":1: found 'PERIODICITYS 5'"),
        ("PERIODICITY 5\n1 1\n", ":2: found '1 1', allowed are times that begin at 0"),
        ("PERIODICITY 5\n0 1\n0 2\n", ":3: found '0 2'"),
        ("PERIODICITY 5\n0 -1\n", ":2: found '0 -1'"),
    ],
)
def test_what_is_no_profile_is_refused(tmp_path, text, message):
    with pytest.raises(TraceError) as caught:
        read_trace(write(tmp_path, text), "simgrid")
    assert message in str(caught.value)
