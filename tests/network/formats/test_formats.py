"""What holds for every format: how one is found and chosen, generic CSV, equal neighbours."""

import numpy as np
import pytest

from fsim.core.errors import TraceError
from fsim.network.formats import FORMATS, read_trace, write_trace
from fsim.network.formats import text as text_module


def write(folder, text, name="trace.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_generic_csv(tmp_path):
    path = write(tmp_path, "# a comment\ntime_s,rate_mbit_s\n5,8\n6.5,0\n8,1.6\n")
    starts, rates, duration = read_trace(path)
    assert starts.tolist() == [0, 1.5, 3]
    assert rates.tolist() == [1e6, 0, 2e5]
    assert duration == 4.5


def test_neighbours_of_equal_rate_are_one_piece(tmp_path):
    path = write(tmp_path, "time_s,rate_byte_s\n0,5\n1,5\n2,0\n3,0\n4,7\n")
    starts, rates, duration = read_trace(path)
    assert (starts.tolist(), rates.tolist(), duration) == ([0, 2, 4], [5, 0, 7], 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found header ''"),
        ("t,rate\n0,1\n", "allowed is time_s,RATE"),
        ("time_s,rate_mbit_s\n", "found 0 samples, a trace needs at least 2"),
        ("time_s,rate_mbit_s\n0,1\n", "found 1 samples, a trace needs at least 2"),
        ("time_s,rate_mbit_s\n0,1\n1,-2\n", ":3: found '1,-2'"),
        ("time_s,rate_mbit_s\n0,1\n1,nan\n", ":3: found '1,nan'"),
        ("time_s,rate_mbit_s\n0,1\n1,2,3\n", "two numbers"),
        ("time_s,rate_mbit_s\n0,1\n0,2\n", "times must increase"),
        ("time_s,rate_mbit_s\n0,x\n0,2\n", "two numbers"),
        ("time_s,rate_mbit_s\n0,1_000\n1,2\n", "two numbers"),
        ("time_s,rate_byte_s\n0,1e308\n1e200,1e308\n", "too large"),
        ("time_s,rate_mbit_s\n-1e16,1\n0.5,1\n0.6,1\n", "increase"),
    ],
)
def test_what_is_not_a_trace_is_refused_with_file_and_place(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_unknown_and_binary_files(tmp_path):
    with pytest.raises(TraceError, match="no such trace file"):
        read_trace(tmp_path / "none.csv")
    with pytest.raises(TraceError, match="no such trace file"):
        read_trace(tmp_path, "cooked")
    unknown = write(tmp_path, "0 1\n1 2\n", "trace.xyz")
    with pytest.raises(TraceError, match=r"as in --format cooked; allowed are csv, mahimahi"):
        read_trace(unknown)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="not a text file"):
        read_trace(binary)


@pytest.mark.parametrize(
    ("name", "content", "pieces"),
    [
        ("a.up", "1\n", ([0], [1.5e6], 0.001)),
        ("a.sh", "tc qdisc add dev e root tbf rate 8bit\nsleep 2\n", ([0], [1], 2)),
        ("bandwidth.txt", "# of a link\nPERIODICITY 3\n0 7\n", ([0], [7], 3)),
        ("log.csv", "Timestamp,DL_bitrate\n2020.01.01_00.00.00,8\n", ([0], [1000], 1)),
        ("speed.json", '{"a": {"down_u": 2, "down_sigma": 0, "up_u": 1, "up_sigma": 0}}',
         ([0], [1024], 1)),
        ("out.json", '{"start": {}, "intervals": [{"sum": {"start": 0, "end": 2, '
         '"bits_per_second": 80}}]}', ([0], [10], 2)),
    ],
)  # fmt: skip
def test_a_format_that_the_file_tells_need_not_be_named(tmp_path, name, content, pieces):
    starts, rates, duration = read_trace(write(tmp_path, content, name))
    assert (starts.tolist(), rates.tolist(), duration) == pieces


def test_wrong_formats_and_options_are_told(tmp_path):
    path = write(tmp_path, "0 1\n1 2\n", "trace")
    with pytest.raises(TraceError, match=f"found format 'cookd', allowed are {', '.join(FORMATS)}"):
        read_trace(path, "cookd")
    with pytest.raises(TraceError, match=r"alignement: unknown key, allowed are alignment, unit"):
        read_trace(path, "cooked", alignement="left")
    with pytest.raises(TraceError, match=r"alignment: found 'up', allowed is 'left' or 'right'"):
        read_trace(path, "cooked", alignment="up")
    with pytest.raises(TraceError, match=r"unit: found 'mbit', allowed are bit/s, kbit/s"):
        read_trace(path, "cooked", unit="mbit")
    with pytest.raises(TraceError, match="bin: found 0"):
        read_trace(path, "mahimahi", bin=0)


def test_a_file_too_large_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(text_module, "LARGEST_FILE", 10)
    with pytest.raises(TraceError, match="found 12 bytes, allowed are 10"):
        read_trace(write(tmp_path, "0 1\n1 2\n2 3\n"), "cooked")


def test_what_cannot_be_written_is_told(tmp_path):
    pieces = (np.zeros(1), np.ones(1), 1.0)
    with pytest.raises(TraceError, match="hsdpa, which is only read; written are csv, mahimahi"):
        write_trace(pieces, tmp_path / "a", "hsdpa")
    with pytest.raises(TraceError, match="lasts for ever"):
        write_trace((np.zeros(1), np.ones(1), np.inf), tmp_path / "a", "csv")
    with pytest.raises(TraceError, match="found a rate of -1"):
        write_trace((np.zeros(1), -np.ones(1), 1.0), tmp_path / "a", "csv")
    with pytest.raises(TraceError, match="cannot be written"):
        write_trace(pieces, tmp_path / "no" / "folder", "csv")
