"""``fsim trace generate`` as its users meet it."""

import shlex

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fsim.cli.trace_generate import generate as generate_command
from fsim.core.errors import FsimError, OutputError, TraceError
from fsim.network.formats import read_trace
from fsim.network.generators import PROFILES
from tests.conftest import ROOT

SHIPPED = ROOT / "traces"


def per_second(path):
    """Rates of a trace's seconds, Mbit/s."""
    starts, rates, duration = read_trace(path)
    return np.repeat(rates, np.diff(np.append(starts, duration)).astype(int)) * 8 / 1e6


def longest_run(down):
    return max((len(run) for run in "".join("01"[int(d)] for d in down).split("0")), default=0)


app = typer.Typer()
app.command()(generate_command)


def command(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, FsimError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_command_makes_the_shipped_trace(tmp_path):
    out = tmp_path / "subway.csv"
    command("3g-subway", "--seconds", 1200, "--seed", 0, "--out", out)
    assert out.read_bytes() == (SHIPPED / "3g-subway.csv").read_bytes()


def test_command_lists_all_with_their_statistics():
    lines = command("--list").splitlines()
    assert [line.split()[0] for line in lines] == list(PROFILES)
    assert (
        "mean 0.83, p5 0, p50 1.04, p95 1.19 Mbit/s"
        in lines[list(PROFILES).index("att-lte-driving")]
    )


@pytest.mark.parametrize(
    "law",
    [
        ["lognormal", "--mean", "1.5 Mbit/s", "--sigma", "0.8", "--correlation", "0.9",
         "--outage-share", "0.05", "--outage-mean", "4 s", "--outage-longest", "20 s"],
        ["markov", "--mean", "187.5 kB/s", "--levels", "1,3,8", "--shares", "0.2,0.5,0.3",
         "--sigma", "0.3", "--stay", "0.95", "--within", "0.5"],
    ],
)  # fmt: skip
def test_command_makes_a_trace_of_a_law_and_its_first_line_makes_it_again(law, tmp_path):
    out, again = tmp_path / "a.csv", tmp_path / "b.csv"
    command(*law, "--seconds", 700, "--seed", 3, "--out", out)
    rates = per_second(out)
    assert len(rates) == 700
    assert rates.mean() == pytest.approx(1.5, rel=0.001)
    assert longest_run(rates == 0) == (20 if law[0] == "lognormal" else 0)
    words = shlex.split(out.read_text().splitlines()[0].removeprefix("# made by: "))
    assert words[:3] == ["fsim", "trace", "generate"]
    command(*words[3:], "--out", again)
    assert again.read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "found trace 'nowhere', allowed are lte-driving"),
        (["lte", "--sigma", "1"], "found --sigma for lte"),
        (["lognormal", "--mean", "1 Mbit/s"], "found no --sigma, --correlation"),
        (["lognormal", "--mean", "1", "--sigma", "1", "--correlation", "0"], "--mean: found '1'"),
        (["lognormal", "--mean", "1 Mbit/s", "--sigma", "x", "--correlation", "0"], "--sigma: "),
        (["lognormal", "--mean", "1 Mbit/s", "--sigma", "1", "--correlation", "0",
          "--outage-mean", "3 s"], "found no --outage-share"),
        (["lognormal", "--mean", "1 Mbit/s", "--sigma", "1", "--correlation", "0",
          "--outage-mean", "3 s", "--outage-share", "0.1", "--outage-longest", "5.5 s"],
         "allowed are whole seconds"),
        (["lognormal", "--stay", "1"], "found --stay for lognormal"),
        # A rate that a row would show as none must not become an outage.
        (["lognormal", "--mean", "1 bit/s", "--sigma", "1", "--correlation", "0"],
         "outside outages, allowed is above 5e-05"),
        (["lognormal", "--mean", "1e30 Gbit/s", "--sigma", "1", "--correlation", "0"],
         "to below 1e+06 Mbit/s"),
    ],
)  # fmt: skip
def test_command_refuses_in_one_line(arguments, message, tmp_path):
    with pytest.raises(TraceError) as caught:
        command(*arguments, "--out", tmp_path / "t.csv")
    assert message in str(caught.value)
    assert not (tmp_path / "t.csv").exists()


def test_command_needs_a_name_and_a_place_to_write(tmp_path):
    with pytest.raises(TraceError, match="found no NAME"):
        command("--out", tmp_path / "t.csv")
    with pytest.raises(TraceError, match="found no --out"):
        command("lte")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot be written"):
        command("lte", "--out", tmp_path / "file" / "t.csv")
