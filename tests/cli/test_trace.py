"""``fsim trace`` as its users meet it."""

import json
import os
import shlex

import numpy as np
import pytest
from typer.testing import CliRunner

from fsim.cli.trace import trace_app
from fsim.core.errors import FsimError, OutputError, ScenarioError, TraceError, TransferNeverEnds
from fsim.network.formats import read_trace

STAIRS = "time_s,rate_mbit_s\n0,4\n3,1\n6,0.5\n9,8\n"


@pytest.fixture
def stairs(tmp_path):
    path = tmp_path / "stairs.csv"
    path.write_text(STAIRS)
    return path


def trace(*arguments):
    result = CliRunner().invoke(trace_app, [str(argument) for argument in arguments])
    if isinstance(result.exception, FsimError):
        # What the command line prints of it, after "fsim: ", is one line.
        assert "\n" not in str(result.exception)
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_info(stairs):
    # 12 s at a mean of (3 x 4 + 3 x 1 + 3 x 0.5 + 3 x 8) / 12 Mbit/s.
    found = json.loads(trace("info", stairs, "--json"))
    assert found["mean_mbit_s"] == pytest.approx(40.5 / 12)
    assert found["p50_mbit_s"] == pytest.approx(2.5)
    assert (found["pieces"], found["duration_s"], found["outages"]) == (4, 12, 0)
    shown = trace("info", stairs)
    assert "3.38 Mbit/s" in shown
    assert "0.5, 2.5, 8 Mbit/s" in shown


def test_info_with_a_format_and_its_options(tmp_path):
    path = tmp_path / "norway"
    path.write_text("0 8\n2 16\n5 24\n")
    with pytest.raises(TraceError, match="as in --format cooked"):
        trace("info", path)
    choice = "cooked:alignment=right:unit=kbit/s"
    found = json.loads(trace("info", path, "--format", choice, "--json"))
    assert found["duration_s"] == 5
    assert found["mean_mbit_s"] == pytest.approx((2 * 16 + 3 * 24) / 5 / 1000)
    with pytest.raises(TraceError, match="unknown key, allowed are alignment"):
        trace("info", path, "--format", "cooked:bin=1")
    with pytest.raises(ScenarioError, match="--format: found 'cooked:right', allowed is NAME"):
        trace("info", path, "--format", "cooked:right")


def test_info_of_what_lasts_too_long_names_the_file(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("time_s,rate_bit_s\n0,1\n1e12,1\n")
    with pytest.raises(TraceError, match=r"long.csv: found a trace of 2e\+12 s"):
        trace("info", path)


@pytest.mark.parametrize(
    ("options", "finish"),
    [
        # 5 MB over 4/1/0.5/8 Mbit/s from 0/3/6/9 s: 11.9375 s.
        ("--bytes 5000000", 11.9375),
        ("--bytes '5 MB'", 11.9375),
        # One Mbit from 3 s on, at 1 Mbit/s.
        ("--bytes 125000 --start 3", 4),
        ("--bytes 125000 --offset 3", 1),
        # A pass is 40.5 Mbit: 80 Mbit are one pass, 12, 3, 1.5 and 23 of the 8 Mbit/s.
        ("--bytes '10 MB'", 12 + 9 + 23 / 8),
        # Held at 8 Mbit/s: 39.5 Mbit after the 12 s.
        ("--bytes '10 MB' --past-end hold", 12 + 39.5 / 8),
        # TCP: handshake, one flight of 10 segments fills 4 Mbit/s x 1 ms, and half a round trip.
        ("--bytes 144800 --transport tcp --round-trip '1 ms'", 150000 * 8 / 4e6 + 0.0015),
    ],
)
def test_transfer(stairs, options, finish):
    found = json.loads(trace("transfer", stairs, *shlex.split(options), "--json"))
    assert found["finish_s"] == pytest.approx(finish, abs=1e-9)
    assert found["duration_s"] == pytest.approx(found["finish_s"] - found["start_s"])
    assert f"have arrived at {finish:.6g} s" in trace("transfer", stairs, *shlex.split(options))


def test_transfers_that_cannot_be(stairs, tmp_path):
    with pytest.raises(TraceError, match="known for 12 s"):
        trace("transfer", stairs, "--bytes", "10 MB", "--past-end", "error")
    dead = tmp_path / "dead.csv"
    dead.write_text("time_s,rate_mbit_s\n0,4\n3,0\n")
    with pytest.raises(TransferNeverEnds, match="2000000 bytes sent at 0 s never arrive"):
        trace("transfer", dead, "--bytes", "2 MB", "--past-end", "hold")
    for option, value, message in (
        ("--bytes", "many", "--bytes: found 'many'"),
        ("--start", "-1", "--start: found -1"),
        ("--start", "nan", "--start: found nan"),
        ("--offset", "inf", "found an offset of inf s"),
        ("--round-trip", "80", "--round-trip: found '80'"),
        ("--transport", "quic", "found transport 'quic', allowed are"),
        (
            "--transport",
            "tcp:formula=mathis",
            "--transport: transport tcp: formula: unknown key, allowed are ",
        ),
    ):
        options = {"--bytes": "1", option: value}
        with pytest.raises((ScenarioError, TraceError), match=message):
            trace("transfer", stairs, *(part for pair in options.items() for part in pair))


def test_convert_to_each_format_and_back(stairs, tmp_path):
    starts, rates, duration = read_trace(stairs)
    for name, target in (
        ("a.sh", None),
        ("a.csv", None),
        ("a.txt", "simgrid"),
        ("a", "cooked:alignment=right"),
    ):
        trace("convert", stairs, tmp_path / name, *(["--to", target] if target else []))
        back = tmp_path / f"back-{name}.csv"
        trace("convert", tmp_path / name, back, *(["--from", target] if target else []))
        again = read_trace(back)
        assert np.allclose(again[0], starts)
        assert np.allclose(again[1], rates)
        assert again[2] == pytest.approx(duration)
    trace("convert", stairs, tmp_path / "a.up")
    # 40.5 Mbit are 3375 packets of 12 kbit.
    assert len((tmp_path / "a.up").read_text().splitlines()) == 3375


def test_convert_that_cannot_be_leaves_what_was_there(stairs, tmp_path):
    out = tmp_path / "kept"
    out.write_text("mine")
    with pytest.raises(TraceError, match="kept: cannot tell the format to write from its name"):
        trace("convert", stairs, out)
    with pytest.raises(TraceError, match="kept: found hsdpa, which is only read"):
        trace("convert", stairs, out, "--to", "hsdpa")
    assert out.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["kept", "stairs.csv"]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plot(stairs, tmp_path, suffix):
    other = tmp_path / "other"
    other.mkdir()
    (other / "stairs.csv").write_text(STAIRS)
    out = tmp_path / f"figure.{suffix}"
    assert str(out.name) in trace("plot", stairs, other / "stairs.csv", "--out", out).replace(
        "\n", ""
    )
    content = out.read_bytes()
    assert content.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    trace("plot", stairs, other / "stairs.csv", "--out", out)
    assert out.read_bytes() == content


def test_plots_that_cannot_be(stairs, tmp_path):
    with pytest.raises(OutputError, match=r"found a figure ending in '.pdf', allowed are"):
        trace("plot", stairs, "--out", tmp_path / "a.pdf")
    with pytest.raises(ScenarioError, match="found 13 files, allowed are 12"):
        trace("plot", *[stairs] * 13, "--out", tmp_path / "a.png")


def test_formats_are_listed():
    shown = trace("formats")
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert (
        "mahimahi Opportunities to deliver 1500 bytes, by the millisecond (read, written)" in lines
    )
    assert "skip_first=false Never use the first row's rate; Pensieve does not." in lines
