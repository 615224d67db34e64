import json

import pytest
import typer
from typer.testing import CliRunner

from fsim.cli.fleet import fleet
from fsim.core.errors import OutputError

app = typer.Typer()
app.command()(fleet)


@pytest.fixture
def run(tiny_file, tmp_path):
    def invoke(*arguments, out=None, **changes):
        given = [str(tiny_file(**changes)), "--out", str(out or tmp_path / "out"), *arguments]
        return CliRunner().invoke(app, given, catch_exceptions=False)

    return invoke


def test_it_shows_devices_links_and_availability(run, tmp_path):
    output = run("--set", "fleet.clients=30").stdout
    for text in ("30 clients", "laptop", "30 (100%)", "198.0 kJ", "1 Mbit/s", "50 ms", "100%"):
        assert text in output
    png = tmp_path / "out" / "tiny-fleet.png"
    assert png.read_bytes().startswith(b"\x89PNG")


def test_json_is_all_that_is_printed(run, tmp_path):
    data = json.loads(run("--json").stdout)
    assert data["name"] == "tiny"
    assert data["clients"] == 6
    assert data["uplink_mbit_s"]["p50"] == pytest.approx(1)
    assert data["figure"] == str(tmp_path / "out" / "tiny-fleet.png")


def test_a_place_that_cannot_be_written(run, tmp_path):
    (tmp_path / "out" / "tiny-fleet.png").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot be written"):
        run()
