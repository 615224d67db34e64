"""A report, opened in a real browser."""

import pytest

from fsim.figures.registry import FIGURES
from fsim.report.report import write_report
from fsim.results.loading import load
from tests.results.made import write_made

FIGURE_FILES = """() => [...document.querySelectorAll("[data-chart]")].every(
  (place) => place.querySelector(".main-svg") && place.fitted === place.clientWidth
    && Math.abs(place._fullLayout._size.h - place.layout.meta.height) < 2)"""
"""Every chart is drawn, as wide as its place, and its panels are as high as they should be."""

SHOWN = """(name) => document.querySelector("#accuracy_over_time [data-chart]").data
  .filter((trace) => trace.legendgroup === name)
  .map((trace) => trace.visible === undefined || trace.visible === true)"""

pytestmark = pytest.mark.slow

LONG = "fstq:bits=4:bucket=512:allocation=fisher:positions=arithmetic<x>"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Of runs that give all charts but the heat map or scalability, one of which each has."""
    top = tmp_path_factory.mktemp("results")
    for at, policy in enumerate(("float16", "qsgd", LONG)):
        for seed in (0, 1):
            for clients in (2, 4):
                write_made(
                    top / "runs" / f"{at}-{seed}-{clients}",
                    policy,
                    seed,
                    {"batteries_j": {"0": 4000.0}},
                    payload=3000 // (at + 1),
                    pace=0.01 if at == 2 else 0.4,
                    clients=clients,
                    lost=(2, 1),
                    sections={"values": 700, "header": 40},
                    protocol__clients_per_round=clients,
                )
    path = top / "report.html"
    write_report(load(top / "runs"), path)
    return path


def test_the_page_loads_without_a_word_and_draws_every_chart(report, watched, screenshots):
    seen = watched(report)
    seen.page.wait_for_function(FIGURE_FILES)
    charts = seen.page.eval_on_selector_all("[data-chart]", "all => all.map(p => p.dataset.chart)")
    assert charts == list(FIGURES)
    marks = "svg .scatterlayer .trace, svg .barlayer .trace, svg .boxlayer .trace, svg .hm"
    for name in charts:
        assert seen.page.locator(f"#{name}").locator(marks).count(), name
    seen.page.screenshot(path=screenshots / "report.png", full_page=True)
    assert seen.said == []
    assert seen.asked == [report.as_uri()]


def test_a_series_is_hidden_by_a_click_on_its_name_and_shown_by_another(report, watched):
    seen = watched(report)
    seen.page.wait_for_function(FIGURE_FILES)
    name = seen.page.evaluate(
        """() => document.querySelector("#accuracy_over_time [data-chart]").data[0].legendgroup"""
    )
    entry = seen.page.locator("#accuracy_over_time .legendtoggle").first
    shown = seen.page.evaluate(SHOWN, name)
    assert len(shown) > 1
    assert all(shown)
    lines = seen.page.locator("#accuracy_over_time .scatterlayer .trace")
    before = lines.count()
    entry.click()
    # A click counts when no second one has followed.
    lines.nth(before - len(shown)).wait_for(state="detached")
    assert not any(seen.page.evaluate(SHOWN, name))
    entry.click()
    lines.nth(before - 1).wait_for(state="attached")
    assert all(seen.page.evaluate(SHOWN, name))
    assert seen.said == []


def test_what_is_pointed_at_is_told(report, watched):
    seen = watched(report)
    seen.page.wait_for_function(FIGURE_FILES)
    # Above it lies what the mouse drags.
    seen.page.locator("#energy_per_round .scatterlayer .point").nth(2).hover(force=True)
    told = seen.page.locator("#energy_per_round .hovertext").first
    told.wait_for()
    assert "round 3:" in told.text_content()


@pytest.mark.parametrize("width", [360, 800])
def test_nothing_is_wider_than_a_narrow_window_or_lies_on_the_legend(
    report, watched, screenshots, width
):
    seen = watched(report, width)
    seen.page.wait_for_function(FIGURE_FILES)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    for figure in seen.page.locator("figure").all():
        legend = figure.locator(".legend .bg")
        if legend.count():
            top = legend.bounding_box()["y"]
            for panel in figure.locator(".nsewdrag").all():
                box = panel.bounding_box()
                assert box["y"] + box["height"] <= top
    seen.page.screenshot(path=screenshots / f"report-{width}.png", full_page=True)
    # Where the window is resized, the charts are too.
    seen.page.set_viewport_size({"width": 1000, "height": 900})
    seen.page.wait_for_function(FIGURE_FILES)


def test_on_paper_nothing_is_cut_off(report, watched):
    seen = watched(report)
    seen.page.wait_for_function(FIGURE_FILES)
    seen.page.emulate_media(media="print")
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    widths = seen.page.eval_on_selector_all(
        ".main-svg", "all => all.map(svg => svg.getBoundingClientRect().width)"
    )
    # The narrower of A4 and letter, less a centimetre on each side and the page's own margins.
    assert max(widths) <= 686
    seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert seen.said == []
