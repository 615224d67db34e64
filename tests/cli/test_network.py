"""The command about uploads that share a link, by itself."""

import json

import pytest
import typer
from typer.testing import CliRunner

from fsim.cli.network import network
from fsim.core.errors import ScenarioError, TransferNeverEnds
from tests.conftest import ROOT

ORACLE = ROOT / ".." / "shared" / "reference" / "fluid_oracle.json"
MBIT = 1e6 / 8


@pytest.fixture
def call(tmp_path):
    app = typer.Typer()
    app.command()(network)

    def call(case, *options):
        path = tmp_path / "case.json"
        path.write_text(json.dumps(case), encoding="utf-8")
        return CliRunner().invoke(app, [str(path), *options])

    return call


def four_links():
    flows = [
        {"bytes": 1000000, "start_s": 0, "capacity_bytes_per_s": rate * MBIT}
        for rate in (1, 2, 4, 8)
    ]
    return {"backhaul_bytes_per_s": 10 * MBIT, "flows": flows}


def test_table_of_finish_times(call):
    done = call(four_links())
    assert done.exit_code == 0
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert [row[0] for row in rows if row[0].isdigit()] == ["0", "1", "2", "3"]
    assert [row[-1] for row in rows if row[0].isdigit()] == [
        "8.000000", "4.000000", "2.285714", "2.285714",
    ]  # fmt: skip


def test_json_and_nothing_else(call):
    done = call(four_links(), "--json")
    assert done.exit_code == 0
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert list(told) == ["finish_s"]
    assert told["finish_s"] == pytest.approx([8.0, 4.0, 16 / 7, 16 / 7], rel=1e-12)


def test_flow_that_never_finishes_is_named(call):
    case = four_links()
    case["flows"][2] |= {"capacity_bytes_per_s": 0.0}
    done = call(case, "--json")
    assert done.stdout == ""
    assert isinstance(done.exception, TransferNeverEnds)
    assert "flows.2: 1000000 bytes sent at 0 s never arrive" in str(done.exception)
    assert "\n" not in str(done.exception)
    case["flows"][3] |= {"capacity_bytes_per_s": 0.0}
    assert "(flows that never finish: 2)" in str(call(case).exception)


def test_malformed_file_is_told(call):
    case = four_links()
    case["flows"][1]["bytes"] = -1
    done = call(case, "--json")
    assert done.stdout == ""
    assert isinstance(done.exception, ScenarioError)
    assert "flows.1.bytes: found -1, allowed is" in str(done.exception)


@pytest.mark.skipif(not ORACLE.is_file(), reason="the reference files are not here")
def test_oracle_through_the_command(call):
    for case in json.loads(ORACLE.read_text(encoding="utf-8")):
        told = json.loads(call(case, "--json").stdout)["finish_s"]
        for flow, time, expected in zip(case["flows"], told, case["finish_s"], strict=True):
            start = flow["start_s"]
            assert time - start == pytest.approx(expected - start, rel=1e-6)
