import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import TraceError
from fsim.network import Capacity
from fsim.network.formats import read_trace, write_trace
from fsim.network.formats.pieces import edges_and_bytes


def write(folder, text):
    path = folder / "trace.up"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_single_1_is_12_mbit_per_second(tmp_path):
    # mahimahi's own README: "this trace would represent one packet per millisecond", 12 Mbit/s.
    starts, rates, duration = read_trace(write(tmp_path, "1\n"))
    assert (starts.tolist(), rates.tolist(), duration) == ([0], [12e6 / 8], 0.001)


def test_bins_silences_and_a_short_last_bin_worked_by_hand(tmp_path):
    # Bins of 10 ms: (0, 10] holds 0, 3, 10; (10, 20] one; (20, 40] none; (40, 45] two.
    path = write(tmp_path, "0\n3\n10\n11\n41\n45")
    starts, rates, duration = read_trace(path, bin=10)
    assert starts.tolist() == [0, 0.01, 0.02, 0.04]
    assert rates == pytest.approx([450e3, 150e3, 0, 600e3])
    assert duration == 0.045


def test_at_1_ms_every_opportunity_has_its_millisecond(tmp_path):
    starts, rates, duration = read_trace(write(tmp_path, "2\n2\n5\n"), bin=1)
    assert starts.tolist() == [0, 0.001, 0.002, 0.004]
    assert rates == pytest.approx([0, 3e6, 0, 1.5e6])
    assert duration == 0.005


@pytest.mark.parametrize("width", [1, 7, 100, 10_000])
def test_by_the_end_of_a_bin_its_opportunities_have_been_delivered(tmp_path, width):
    rng = np.random.default_rng(3)
    stamps = np.sort(rng.integers(0, 5000, 700))
    path = write(tmp_path, "\n".join(map(str, stamps)) + "\n")
    pieces = read_trace(path, bin=width)
    edges, delivered = edges_and_bytes(pieces)
    assert pieces[2] == stamps[-1] / 1000
    grid = np.append(np.arange(width, stamps[-1], width), stamps[-1])
    expected = [1500 * np.count_nonzero(stamps <= moment) for moment in grid]
    assert np.interp(grid / 1000, edges, delivered) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found an empty file"),
        ("0\n0\n", "found a last stamp of 0 ms"),
        ("1\n\n2\n", ":2: found ''"),
        ("\n", ":1: found ''"),
        ("1\n2.5\n", ":2: found '2.5'"),
        ("1\n-2\n", ":2: found '-2'"),
        ("1\n9999999999999999\n", ":2: found '9999999999999999'"),
        ("5\n4\n", ":2: found 4 ms after 5 ms"),
        (b"1\n\xff\n", ":2: found "),
        ("1 2\n", ":1: found '1 2'"),
    ],
)
def test_what_mahimahi_refuses_is_refused(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_silence_of_years_costs_nothing(tmp_path):
    starts, _, duration = read_trace(write(tmp_path, "1\n999999999999999\n"), bin=1)
    assert len(starts) == 3
    assert duration == 999999999999.999


def test_a_million_lines_in_a_couple_of_seconds(tmp_path):
    stamps = np.sort(np.random.default_rng(0).integers(0, 900_000, 1_000_000))
    path = write(tmp_path, "\n".join(map(str, stamps.tolist())) + "\n")
    begin = time.process_time()
    pieces = read_trace(path, bin=1)
    assert time.process_time() - begin < 3
    assert edges_and_bytes(pieces)[1][-1] == pytest.approx(1.5e9)


def test_one_millisecond_bins_come_back_as_they_were(tmp_path):
    stamps = np.sort(np.random.default_rng(1).integers(1, 60_000, 20_000))
    path = write(tmp_path, "\n".join(map(str, stamps.tolist())) + "\n")
    again = tmp_path / "again.up"
    write_trace(read_trace(path, bin=1), again, "mahimahi")
    assert again.read_text() == path.read_text()


@st.composite
def staircases(draw):
    gaps = draw(st.lists(st.integers(1, 3000), min_size=1, max_size=8))
    rate = st.one_of(st.just(0.0), st.floats(10, 3e6))
    rates = draw(st.lists(rate, min_size=len(gaps), max_size=len(gaps)).filter(any))
    edges = np.concatenate([[0], np.cumsum(gaps)]) / 1000
    return edges[:-1], np.array(rates), float(edges[-1])


@given(pieces=staircases())
def test_written_opportunities_are_never_more_than_a_packet_off(pieces, tmp_path_factory):
    path = tmp_path_factory.mktemp("m") / "trace.up"
    write_trace(pieces, path, "mahimahi")
    stamps = np.array(path.read_text().split(), dtype=np.int64)
    edges, delivered = edges_and_bytes(pieces)
    assert stamps[-1] == round(pieces[2] * 1000)
    grid = np.arange(1, stamps[-1] + 1)
    counted = 1500 * np.searchsorted(stamps, grid, side="right")
    off = counted - np.interp(grid / 1000, edges, delivered)
    assert np.abs(off).max() <= 1500 + 0.01
    # And the reader agrees with the capacity on when a transfer ends, to a packet's time.
    again = Capacity(*read_trace(path, bin=1))
    total = edges_and_bytes(read_trace(path, bin=1))[1][-1]
    assert total == pytest.approx(counted[-1])
    assert again.duration == stamps[-1] / 1000


def test_what_mahimahi_cannot_hold_is_told(tmp_path):
    path = tmp_path / "a.up"
    with pytest.raises(TraceError, match="cannot hold a trace that is zero"):
        write_trace((np.zeros(1), np.zeros(1), 1.0), path, "mahimahi")
    with pytest.raises(TraceError, match="allowed in mahimahi's format are 5000000 packets"):
        write_trace((np.zeros(1), np.full(1, 1e9), 1e6), path, "mahimahi")
    assert not path.exists()
