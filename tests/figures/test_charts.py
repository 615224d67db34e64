"""Charts show what the printed figures of their names show, from the same contents."""

import numpy as np
import pytest

from fsim.figures import series
from fsim.figures.contents.rounds import PARTS
from fsim.figures.contents.stragglers import MOST_SERIES as MOST_BOXES
from fsim.figures.drawing import contents
from fsim.figures.interactive.style import DASHES, MARKERS, logarithmic, text
from fsim.figures.marks import Line, Points
from fsim.figures.registry import FIGURES
from fsim.figures.series import HATCHES, MOST_SERIES, looks_by_policy
from fsim.figures.static import style as printed
from fsim.results.loading import load
from tests.results.made import write_made

HOSTILE = "<b>a</b> & %{x}"
LOOKS = looks_by_policy({f"mine:option={at}": f"mine:option={at}" for at in range(12)}).values()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two policies, one of which never reaches the target, two seeds, two numbers of clients."""
    top = tmp_path_factory.mktemp("results")
    for at, policy in enumerate(("float16", HOSTILE)):
        for seed in (0, 1):
            for clients in (2, 4):
                write_made(
                    top / f"{at}-{seed}-{clients}",
                    policy,
                    seed,
                    {"batteries_j": {"0": 4000.0}},
                    pace=0.4 if at == 0 else 0.01,
                    clients=clients,
                    sections={"values": 700, "<header>": 40},
                    protocol__clients_per_round=clients,
                )
    return load(top)


def traces(chart, kind="scatter"):
    return [trace for trace in chart.figure.data if trace.type == kind]


@pytest.mark.parametrize("name", FIGURES)
def test_every_chart_tells_what_its_figure_tells(results, name):
    chart, figure = FIGURES[name].chart(results), FIGURES[name](results)
    assert chart.figure.data
    assert chart.content.heading in figure._suptitle.get_text().replace("\n", " ")
    for note in chart.content.remarks:
        assert note in figure._supxlabel.get_text().replace("\n", " ")


@pytest.mark.parametrize("name", FIGURES)
def test_a_name_has_one_entry_in_the_legend_and_toggles_all_that_is_drawn_of_it(results, name):
    shown = FIGURES[name].chart(results).figure.data
    entries = [trace for trace in shown if trace.showlegend is not False]
    named = [entry.name for entry in entries if entry.type != "heatmap"]
    assert len(named) == len(set(named))
    assert {trace.legendgroup for trace in shown} <= {entry.legendgroup for entry in entries}


@pytest.mark.parametrize("name", FIGURES)
def test_names_are_text_and_not_markup(results, name):
    for trace in FIGURES[name].chart(results).figure.data:
        assert "<b>" not in (trace.name or "")
        assert HOSTILE not in (trace.hovertemplate or "")


def test_the_line_and_the_marker_are_those_of_the_contents(results):
    content = FIGURES["accuracy_over_time"].content(results)
    chart = FIGURES["accuracy_over_time"].chart(results)
    lines = {trace.legendgroup: trace for trace in traces(chart) if trace.showlegend is not False}
    assert set(lines) == set(content.entries)
    for name, marks in content.entries.items():
        mean = next(mark for mark in marks if isinstance(mark, Line))
        assert lines[name].x == pytest.approx(mean.x)
        assert lines[name].y == pytest.approx(mean.y)
        reached = [
            (trace.x[0], trace.y[0])
            for trace in traces(chart)
            if trace.legendgroup == name and trace.mode == "markers"
        ]
        points = [(mark.x[0], mark.y[0]) for mark in marks if isinstance(mark, Points)]
        assert reached == points
    assert [shape.y0 for shape in chart.figure.layout.shapes] == [50]


def test_bars_of_the_last_client_are_as_high_as_the_rounds_are_long(tmp_path):
    found = load(write_made(tmp_path / "run", lost=(3, 2), payload=2000))
    bars = [
        bar for bar in traces(FIGURES["round_breakdown"].chart(found), "bar") if bar.xaxis == "x"
    ]
    tops = np.sum([bar.y for bar in bars], axis=0)
    lasted = found.records[found.records["kind"] == "round"]["duration_s"]
    assert tops == pytest.approx(lasted.tolist())
    assert [bar.name for bar in bars] == [name for name, _ in PARTS.values()][1:-1]
    assert bars[-1].name == "lost, until noticed"
    assert list(bars[-1].y) == pytest.approx([0, 0, 30, 0, 0, 0])


def test_a_series_whose_target_was_not_reached_stands_apart_and_hollow(results):
    chart = FIGURES["pareto"].chart(results)
    hollow = [trace for trace in traces(chart) if trace.marker.color == "#FFFFFF"]
    assert {trace.xaxis for trace in hollow} == {"x2"}
    assert all("(0 of 2 reached)" in trace.name.replace("<br>", " ") for trace in hollow)


def test_cells_of_the_heat_map_are_those_of_the_figure(results):
    drawing = FIGURES["sweep_heat_map"]
    chart, figure = drawing.chart(results), drawing(results)
    cells = np.array(chart.figure.data[0].z, dtype=float)
    shown = np.ma.filled(figure.axes[0].images[0].get_array().astype(float), np.nan)
    assert cells == pytest.approx(shown, nan_ok=True)
    told = [note.text for note in chart.figure.layout.annotations]
    written = [cell.get_text() for cell in figure.axes[0].texts]
    assert told == [cell for cell in written if " of " in cell]


def test_boxes_are_the_percentiles_of_the_clients_rounds(tmp_path):
    found = load(write_made(tmp_path / "run", rounds=9))
    box = traces(FIGURES["stragglers"].chart(found), "box")[0]
    uploads = found.records[found.records["kind"] == "upload"]["duration_s"]
    at = list(box.y).index(1)
    five = (box.lowerfence[at], box.q1[at], box.median[at], box.q3[at], box.upperfence[at])
    assert five == pytest.approx(np.percentile(uploads, [5, 25, 50, 75, 95]))


def test_series_are_told_apart_without_colour():
    forms = {(DASHES[look.form % len(DASHES)], MARKERS[look.form % len(MARKERS)]) for look in LOOKS}
    assert len(forms) == MOST_SERIES
    assert len(set(HATCHES)) >= MOST_BOXES


def test_points_of_many_series_are_told_apart_by_colour_and_marker():
    points = {(look.color, MARKERS[look.form % len(MARKERS)]) for look in LOOKS}
    assert len(points) == MOST_SERIES
    assert len(MARKERS) == len(printed.MARKERS) == series.MARKERS
    assert len(DASHES) == len(printed.DASHES) == series.DASHES


def test_what_the_data_cannot_give_is_left_out(tmp_path):
    names = set(contents(FIGURES, load(write_made(tmp_path / "run"))))
    assert names == set(FIGURES) - {
        "pareto",
        "payload_breakdown",
        "battery_drain",
        "scalability",
        "sweep_heat_map",
    }


def test_numbers_along_a_logarithmic_axis_worked_by_hand():
    axis = logarithmic(0.2, 10)
    shown = [tick for tick in axis["tickvals"] if 0.2 <= tick <= 10]
    assert shown == pytest.approx([0.2, 0.5, 1, 2, 5, 10])
    assert "0.5" in axis["ticktext"]
    assert [tick for tick in logarithmic(1, 1000)["tickvals"] if 1 <= tick <= 1000] == [
        1,
        10,
        100,
        1000,
    ]


def test_a_name_as_text():
    assert text("a<b & c") == "a&lt;b &amp; c"
    assert text("x" * 50).split("<br>") == ["x" * 40, "x" * 10]
