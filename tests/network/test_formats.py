import pytest

from fsim.errors import TraceError
from fsim.network.formats import read_trace


def write(folder, text):
    path = folder / "trace.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_generic_csv(tmp_path):
    path = write(tmp_path, "# a comment\ntime_s,rate_mbit_s\n5,8\n6.5,0\n8,1.6\n")
    starts, rates, duration = read_trace(path)
    assert starts.tolist() == [0, 1.5, 3]
    assert rates.tolist() == [1e6, 0, 2e5]
    assert duration == 4.5


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
    with pytest.raises(TraceError, match=r"allowed are \.csv"):
        read_trace(tmp_path / "trace.xyz")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="not a text file"):
        read_trace(binary)
