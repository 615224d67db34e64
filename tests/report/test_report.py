import json
import re
import time
from html.parser import HTMLParser

import pytest
from plotly.offline import get_plotlyjs

from fsim.cli.report import report as report_command
from fsim.cli.report import timeline as timeline_command
from fsim.core.errors import OutputError
from fsim.report.caveats import warnings_of
from fsim.report.report import report
from fsim.results.loading import load
from tests.results.made import write_made

HOSTILE = '<script>alert("x")</script>&$name ${x}'


class Page(HTMLParser):
    """The elements of a page, and the text in them."""

    VOID = ("meta", "link", "input", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.told = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.told.append(text)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    top = tmp_path_factory.mktemp("results")
    facts = {"billed_bytes_factor": 488.0, "prompts_shortened": 7, "labels_in_no_shard": ["fi"]}
    write_made(top / "a0", "float16", 0, facts)
    write_made(top / "a1", "float16", 1, facts)
    write_made(top / "b", HOSTILE, 0, pace=0.01, status="failed")
    return report(load(top))


def test_the_page_is_whole_and_well_formed(page):
    parsed = Page(page)
    assert not parsed.open
    figures = [own["id"] for tag, own in parsed.elements if tag == "figure"]
    assert {"accuracy_over_time", "pareto", "round_breakdown", "stragglers"} <= set(figures)
    charts = [own["data-chart"] for _, own in parsed.elements if "data-chart" in own]
    assert charts == figures
    for data in re.findall(r'<script type="application/json">(.*?)</script>', page):
        assert set(json.loads(data)) == {"data", "layout"}


def test_the_charting_library_is_in_the_page_once(page):
    assert page.count(get_plotlyjs()) == 1


def test_nothing_is_fetched_from_outside(page):
    for tag, own in Page(page).elements:
        for name in ("src", "href", "xlink:href", "action", "data"):
            value = own.get(name) or "#"
            assert value.startswith(("#", "data:")), (tag, name, value)
    # Nor could it be: the browser is told so.
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_ids_are_unique_and_what_refers_to_them_finds_them(page):
    elements = Page(page).elements
    ids = [own["id"] for _, own in elements if own.get("id")]
    assert len(ids) == len(set(ids))
    referred = {own["href"][1:] for _, own in elements if own.get("href", "").startswith("#")}
    assert referred <= set(ids)


def test_who_runs_no_scripts_is_told_what_else_there_is(page):
    assert re.search(r"<noscript>.*fsim plot.*</noscript>", page, re.DOTALL)


def test_what_users_write_is_text_and_not_markup(page):
    assert '<script>alert("x")' not in page.replace(get_plotlyjs(), "")
    assert HOSTILE in "".join(Page(page).told)


def test_the_tables_tell_the_results_and_the_unreached(page):
    told = "".join(Page(page).told)
    assert "2 of 2" in told
    assert "never" in told
    assert "fsim run" in told
    assert "bytes billed ×1 to ×488" in told
    assert "3 runs in 2 series, 2 seeds" in told
    assert "synchronous" in told


def test_warnings_say_what_a_reader_has_to_know(tmp_path):
    facts = {
        "billed_bytes_factor": 488.0,
        "prompts_shortened": 7,
        "labels_in_no_shard": ["fi"],
        "items_skipped": {"no answer": 3},
    }
    write_made(tmp_path / "a", "a", 0, facts, pace=0.01)
    write_made(tmp_path / "b", "b", 0, facts, status="failed")
    assert warnings_of(load(tmp_path)) == [
        "b: did not come to its end: the sky fell",
        "bytes billed ×488: a small model's round is billed as a larger one's",
        "1 of 2 runs never reached the target",
        "series of one seed: nothing here tells how far chance moves their figures",
        "7 prompts were shortened to the limit",
        "no client holds examples of: fi",
        "3 items of the data were left out: no answer",
    ]


def test_a_good_run_has_no_warnings(tmp_path):
    for seed in (0, 1):
        write_made(tmp_path / f"{seed}", seed=seed, pace=0.5)
    assert warnings_of(load(tmp_path)) == []


def test_the_commands_write_their_files(tmp_path, capsys):
    for seed in (0, 1):
        write_made(tmp_path / f"{seed}", seed=seed)
    report_command(tmp_path, None)
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    timeline_command(tmp_path, "1", None)
    assert (tmp_path / "1" / "timeline.json").is_file()
    with pytest.raises(OutputError, match="found 2 runs, choose one by --run: 0, 1"):
        timeline_command(tmp_path, None, None)
    with pytest.raises(OutputError, match="--run: found '7', allowed are 0, 1"):
        timeline_command(tmp_path, "7", None)
    with pytest.raises(OutputError, match="so no results"):
        report_command(tmp_path / "absent", None)


@pytest.mark.slow
def test_a_report_of_a_hundred_runs_is_written_quickly(tmp_path):
    for at in range(100):
        policy, seed = f"policy-{at // 5}", at % 5
        write_made(tmp_path / f"{at:03}", policy, seed, rounds=20, clients=8)
    began = time.process_time()
    report(load(tmp_path))
    # 20 s is promised; the machine may be shared.
    assert time.process_time() - began < 20 * 2
