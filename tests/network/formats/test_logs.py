"""Logs of what was received: cooked, HSDPA, G-NetTrack, iperf3. Values worked out by hand."""

import json

import pytest

from fsim.core.errors import TraceError
from fsim.network.formats import read_trace

MBIT = 1e6 / 8


def write(folder, text, name="trace"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def lists(pieces):
    return pieces[0].tolist(), pieces[1].tolist(), pieces[2]


COOKED = "0\t8\n2\t16\n5 24\n"


def test_cooked_left_aligned_holds_from_its_time_on(tmp_path):
    found = read_trace(write(tmp_path, COOKED), "cooked")
    assert lists(found) == ([0, 2, 5], [8 * MBIT, 16 * MBIT, 24 * MBIT], 8)


@pytest.mark.parametrize("skip_first", [True, False])
def test_cooked_right_aligned_is_as_in_pensieve(tmp_path, skip_first):
    # Value i on (t[i-1], t[i]], sample 0 never: 16 Mbit/s to 2 s, 24 to 5 s.
    path = write(tmp_path, COOKED)
    found = read_trace(path, "cooked", alignment="right", skip_first=skip_first)
    assert lists(found) == ([0, 2], [16 * MBIT, 24 * MBIT], 5)


def test_cooked_that_starts_later(tmp_path):
    path = write(tmp_path, "1 8\n3 16\n6 24\n")
    left = read_trace(path, "cooked")
    assert lists(left) == ([0, 2, 5], [8 * MBIT, 16 * MBIT, 24 * MBIT], 8)
    right = read_trace(path, "cooked", alignment="right")
    assert lists(right) == ([0, 1, 3], [8 * MBIT, 16 * MBIT, 24 * MBIT], 6)
    skipped = read_trace(path, "cooked", alignment="right", skip_first=True)
    assert lists(skipped) == ([0, 2], [16 * MBIT, 24 * MBIT], 5)
    left_skipped = read_trace(path, "cooked", skip_first=True)
    assert lists(left_skipped) == ([0, 3], [16 * MBIT, 24 * MBIT], 6)


def test_cooked_units(tmp_path):
    path = write(tmp_path, COOKED)
    assert read_trace(path, "cooked", unit="kB/s")[1].tolist() == [8e3, 16e3, 24e3]
    assert read_trace(path, "cooked", unit="KiB/s")[1].tolist() == [8192, 16384, 24576]


def test_cooked_stamps_that_do_not_increase(tmp_path):
    path = write(tmp_path, "0 8\n2 16\n2 99\n1 99\n5 24\n")
    with pytest.raises(TraceError, match=r":3: found 2 s after 2 s, .* stamps=drop"):
        read_trace(path, "cooked")
    found = read_trace(path, "cooked", stamps="drop")
    assert lists(found) == ([0, 2, 5], [8 * MBIT, 16 * MBIT, 24 * MBIT], 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no samples"),
        ("0 1\n", "found 1 samples"),
        ("0 1\n1\n", ":2: found '1'"),
        ("0 1\n1 2 3\n", ":2: found '1 2 3'"),
        ("0 1\n1 inf\n", ":2: found '1 inf'"),
        ("0 1\n1 -2\n", "0 or more"),
    ],
)
def test_what_is_not_cooked_is_refused(tmp_path, text, message):
    with pytest.raises(TraceError) as caught:
        read_trace(write(tmp_path, text), "cooked")
    assert message in str(caught.value)


HSDPA = """1289406399 549 59.851754 10.781778 248439 549
1289406400 1549 59.851754 10.781778 100000 1000
"""


def test_hsdpa_rate_is_bytes_over_milliseconds(tmp_path):
    starts, rates, duration = read_trace(write(tmp_path, HSDPA), "hsdpa")
    assert starts.tolist() == [0, 0.549]
    assert rates == pytest.approx([248439 / 0.549, 1e5])
    assert duration == 1.549


def test_ghent_logs_with_unix_milliseconds_are_read_alike(tmp_path):
    text = HSDPA.replace("1289406399 ", "1289406399123 ").replace("1289406400 ", "1289406400123 ")
    ghent = read_trace(write(tmp_path, text), "hsdpa")
    assert lists(ghent) == lists(read_trace(write(tmp_path, HSDPA), "hsdpa"))


def test_hsdpa_gap(tmp_path):
    path = write(tmp_path, HSDPA + "1289406410 11549 0 0 50000 1000\n")
    with pytest.raises(TraceError, match=r":3: found 9000 ms that no line accounts for; gap=zero"):
        read_trace(path, "hsdpa")
    starts, rates, duration = read_trace(path, "hsdpa", gap="zero")
    assert starts == pytest.approx([0, 0.549, 1.549, 10.549])
    assert rates[2:] == pytest.approx([0, 5e4])
    assert duration == pytest.approx(11.549)
    assert read_trace(path, "hsdpa", gap="close")[2] == pytest.approx(2.549)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no lines"),
        ("1 2 3\n", "allowed is unix_time ms lat lon"),
        ("1 549 0 0 -1 549\n", "bytes of 0 or more"),
        ("1 549 0 0 1 0\n", "more than 0 ms"),
        (HSDPA + "1289406401 1600 0 0 1 5000\n", "less than the line's 5000 ms"),
    ],
)
def test_what_is_not_hsdpa_is_refused(tmp_path, text, message):
    with pytest.raises(TraceError) as caught:
        read_trace(write(tmp_path, text), "hsdpa")
    assert message in str(caught.value)


GNET = """Timestamp,Speed,DL_bitrate,UL_bitrate
2019.12.31_23.59.59,1,80,8
2019.12.31_23.59.59,1,160,8
2020.01.01_00.00.01,1,400,16
2020.01.01_00.00.02,1,-,16
2020.01.01_00.00.03,1,800,16
"""


def test_gnettrack_by_hand(tmp_path):
    path = write(tmp_path, GNET, "a.csv")
    with pytest.raises(TraceError, match=r":5: found no DL_bitrate .* missing=zero"):
        read_trace(path)
    held = read_trace(path, "gnettrack", missing="hold")
    assert lists(held) == ([0, 2, 4], [15e3, 5e4, 1e5], 5)
    zero = read_trace(path, "gnettrack", missing="zero", repeated="last")
    assert lists(zero) == ([0, 2, 3, 4], [2e4, 5e4, 0, 1e5], 5)


def test_gnettrack_return_traffic_has_to_be_asked_for(tmp_path):
    path = write(tmp_path, GNET, "a.csv")
    with pytest.raises(TraceError, match="not the capacity of an uplink; return_traffic=true"):
        read_trace(path, "gnettrack", column="UL_bitrate")
    found = read_trace(path, "gnettrack", column="UL_bitrate", return_traffic=True)
    assert lists(found) == ([0, 2], [1e3, 2e3], 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found header ''"),
        ("Timestamp,DL\n", "allowed is one with Timestamp and DL_bitrate"),
        ("Timestamp,DL_bitrate\n", "found no rows"),
        ("Timestamp,DL_bitrate\n2019.12.31\n", ":2: found 1 columns"),
        ("Timestamp,DL_bitrate\n2019.12.32_00.00.00,1\n", ":2: found a Timestamp of"),
        ("Timestamp,DL_bitrate\n2019.12.31_00.00.00,x\n", ":2: found a DL_bitrate of 'x'"),
        ("Timestamp,DL_bitrate\n2019.12.31_00.00.00,nan\n", ":2: found a DL_bitrate of 'nan'"),
        (
            "Timestamp,DL_bitrate\n2019.12.31_00.00.01,1\n2019.12.31_00.00.00,1\n",
            ":3: found 2019.12.31_00.00.00 after a later time",
        ),
    ],
)
def test_what_is_not_gnettrack_is_refused(tmp_path, text, message):
    with pytest.raises(TraceError) as caught:
        read_trace(write(tmp_path, text, "a.csv"), "gnettrack")
    assert message in str(caught.value)


def test_gnettrack_missing_at_the_start_cannot_be_held(tmp_path):
    path = write(tmp_path, "Timestamp,DL_bitrate\n2019.12.31_00.00.00,-\n", "a.csv")
    with pytest.raises(TraceError, match="nothing before it to hold"):
        read_trace(path, "gnettrack", missing="hold")


def interval(start, end, bits, **more):
    return {"start": start, "end": end, "bits_per_second": bits, **more}


def test_iperf3_intervals(tmp_path):
    result = {
        "start": {"test_start": {"reverse": 0}},
        "intervals": [
            {"sum": interval(0, 1, 1, omitted=True)},
            {"sum": interval(0, 1.0001, 8e6, omitted=False, sender=True)},
            {"sum": interval(1.0001, 2, 16e6, omitted=False, sender=True)},
        ],
    }
    path = write(tmp_path, json.dumps(result))
    assert lists(read_trace(path, "iperf3")) == ([0, 1.0001], [1e6, 2e6], 2)
    assert lists(read_trace(path, "iperf3", side="sender"))[1] == [1e6, 2e6]
    with pytest.raises(TraceError, match="side=receiver asked for, found intervals of sender"):
        read_trace(path, "iperf3", side="receiver")


def test_iperf3_sides(tmp_path):
    both = {
        "start": {},
        "intervals": [
            {"sum": interval(0, 2, 80, sender=True),
             "sum_bidir_reverse": interval(0, 2, 160, sender=False)}
        ],
    }  # fmt: skip
    path = write(tmp_path, json.dumps(both))
    with pytest.raises(TraceError, match="found intervals of sender and receiver; side= says"):
        read_trace(path, "iperf3")
    assert lists(read_trace(path, "iperf3", side="sender")) == ([0], [10], 2)
    assert lists(read_trace(path, "iperf3", side="receiver")) == ([0], [20], 2)
    server = {
        "start": {"test_start": {"reverse": 0}},
        "intervals": [{"sum": interval(0, 1, 80)}],
        "server_output_json": {"intervals": [{"sum": interval(0, 1, 64)}]},
    }
    path = write(tmp_path, json.dumps(server))
    assert lists(read_trace(path, "iperf3", side="sender")) == ([0], [10], 1)
    assert lists(read_trace(path, "iperf3", side="receiver")) == ([0], [8], 1)
    reverse = {
        "start": {"test_start": {"reverse": 1}},
        "intervals": [{"sum": interval(0, 1, 80)}],
    }
    path = write(tmp_path, json.dumps(reverse))
    assert lists(read_trace(path, "iperf3", side="receiver")) == ([0], [10], 1)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([], "found a list"),
        ({}, "found intervals of nobody"),
        ({"error": "unable to connect"}, "iperf3 failed: 'unable to connect'"),
        ({"intervals": 3}, "intervals: found 3, not a list"),
        ({"intervals": [{"sum": interval(1, 1, 8)}]}, "found an interval from 1 to 1 s"),
        ({"intervals": [{"sum": interval(0, 1, "x")}]}, "sum.bits_per_second: found 'x'"),
        ({"intervals": [{"sum": interval(0, 1, True)}]}, "bits_per_second: found True"),
        ({"intervals": [{"sum": interval(0, 1, 10**400)}]}, "found a very large number"),
        ({"intervals": [{"sum": interval(0, 1, 8)}, {"sum": interval(3, 4, 8)}]}, "one after"),
    ],
)
def test_what_is_not_iperf3_is_refused(tmp_path, result, message):
    with pytest.raises(TraceError) as caught:
        read_trace(write(tmp_path, json.dumps(result)), "iperf3")
    assert message in str(caught.value)
