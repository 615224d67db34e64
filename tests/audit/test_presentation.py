import json

import pytest
import typer
from typer.testing import CliRunner

from fsim.audit.experiments import EXPERIMENTS
from fsim.audit.measured import read_measured
from fsim.audit.presentation import cross_grid, sections, to_data, to_markdown
from fsim.cli.audit import audit
from tests.conftest import ROOT
from tests.results.made import rewrite_summary, write_made


@pytest.fixture
def fsim():
    app = typer.Typer()
    app.command()(audit)

    def run(*arguments):
        return CliRunner().invoke(app, [str(each) for each in arguments])

    return run


@pytest.fixture
def runs(tmp_path):
    folder = write_made(tmp_path / "runs", "fstq", facts={"billed_bytes_factor": 244.0})
    rewrite_summary(folder, name="fed-fstq-round-breakdown")
    return tmp_path / "runs"


def test_the_committed_document_is_what_the_command_writes_now():
    written = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    assert written == to_markdown(read_measured()), "run: fsim audit --markdown docs/paper.md"


def test_every_experiment_has_a_section():
    assert [each.experiment for each in sections([])] == list(EXPERIMENTS)
    text = to_markdown([])
    for experiment in EXPERIMENTS:
        assert f"### {experiment.title}" in text


def test_markdown_tables_are_rectangular():
    widths = None
    for line in to_markdown([]).splitlines():
        if not line.startswith("|"):
            widths = None
            continue
        count = line.replace("\\|", "").count("|")
        assert widths in (None, count), line
        widths = count


def test_contradictions_are_marked():
    text = to_markdown([])
    assert "55.20 ✗ 61.44" in text
    assert "409.60 ✓" in text
    assert "contradictory" in {row[4] for row in cross_grid().rows}


def test_data_are_plain_json():
    data = json.loads(json.dumps(to_data([])))
    energy = next(
        each for each in data["figures"]
        if (each["subject"], each["quantity"]) == ("Fed-FSTQ", "energy")
    )  # fmt: skip
    assert (energy["published"], energy["implied"]) == (98.5, 115.56)
    assert energy["verdict"] == "contradictory"
    assert data["measured"] == []


def test_the_command_prints_tables(fsim):
    done = fsim()
    assert done.exit_code == 0, done.output
    assert "61.44" in done.output
    assert "Scenario: scenarios/fed_fstq/dropout.yaml" in done.output


def test_json_is_all_that_is_printed(fsim):
    assert json.loads(fsim("--json").output)["paper"] == "arXiv 2604.25421"


def test_measured_stand_beside(fsim, runs, tmp_path):
    out, kept = tmp_path / "paper.md", tmp_path / "kept.json"
    done = fsim("--runs", runs, "--markdown", out, "--measured", kept)
    assert done.exit_code == 0, done.output
    text = out.read_text(encoding="utf-8")
    assert "Measured here:" in text
    assert "Billed: bytes x 244" in text
    assert fsim("--runs", kept, "--markdown", again_out := tmp_path / "again.md").exit_code == 0
    assert again_out.read_text(encoding="utf-8") == text
    again = fsim("--runs", kept, "--json")
    (only,) = json.loads(again.output)["measured"]
    assert (only["experiment"], only["series"]) == ("round-breakdown", "fstq")
    assert only["billed_bytes_factor"] == 244


def test_one_experiment_after_another(fsim, runs, tmp_path):
    kept = tmp_path / "kept.json"
    assert fsim("--runs", runs, "--measured", kept).exit_code == 0
    later = write_made(tmp_path / "later", "topk", 0)
    rewrite_summary(later, name="fed-fstq-dropout")
    out = tmp_path / "paper.md"
    assert fsim("--runs", later, "--measured", kept, "--markdown", out).exit_code == 0
    found = [(each.experiment, each.series) for each in read_measured(kept)]
    assert found == [("round-breakdown", "fstq"), ("dropout", "topk")]
    shown = out.read_text(encoding="utf-8")
    assert shown.count("Measured here:") == 3  # and inference, which is kept apart
    again = write_made(tmp_path / "again", "float16", 0)
    rewrite_summary(again, name="fed-fstq-dropout")
    assert fsim("--runs", again, "--measured", kept).exit_code == 0
    found = [(each.experiment, each.series) for each in read_measured(kept)]
    assert found == [("round-breakdown", "fstq"), ("dropout", "float16")]


def test_no_results(fsim, tmp_path):
    done = fsim("--runs", tmp_path)
    assert done.exit_code != 0
    assert "found no summary.json" in str(done.exception)
