import itertools
import re
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import fsim
from fsim.core.errors import OutputError
from fsim.figures.content import FigureImpossible, billing_note
from fsim.figures.registry import FIGURES, FORMATS, save_figures
from fsim.figures.static.style import STYLE
from fsim.results.loading import load, load_runs
from tests.results.made import write_made

LONG = "fstq:bits=4:bucket=512:allocation=fisher:positions=arithmetic"
BILLED = {"billed_bytes_factor": 488.28, "billed_operations_factor": 4912.3}
BATTERIES = {"batteries_j": {"0": 4000.0, "2": 100.0}}
SECTIONS = {"header": 40, "values": 700, "positions": 260}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three policies, two seeds, two traces: everything that some figure needs."""
    top = tmp_path_factory.mktemp("results")
    for at, policy in enumerate(("float16", "_$x$", LONG)):
        for seed in (0, 1):
            for trace in ("bus", "train"):
                write_made(
                    top / f"{at}-{seed}-{trace}",
                    policy,
                    seed,
                    BILLED | BATTERIES,
                    payload=3000 // (at + 1),
                    pace=0.4 if at < 2 else 0.12,
                    clients=4 if trace == "bus" else 8,
                    lost=(2, 1),
                    sections=SECTIONS,
                    fleet__uplink__trace=f"traces/{trace}.csv",
                )
    for clients in (2, 8):
        write_made(
            top / "more" / f"clients-{clients}",
            "float16",
            clients=clients,
            protocol__clients_per_round=clients,
            fleet__uplink__trace="traces/bus.csv",
        )
    return top


@pytest.fixture(scope="module")
def results(folder):
    return {"all": load(folder), "swept": swept(folder), "scaled": load(folder / "more")}


def swept(folder):
    from fsim.results.loading import Results

    runs = [run for run in load(folder).runs if run.folder.parent == folder]
    return Results(runs, folder)


def source(name):
    return {"scalability": "scaled", "sweep_heat_map": "swept"}.get(name, "swept")


def texts(figure):
    return [text for text in figure.findobj(mpl.text.Text) if text.get_text()]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_from_the_tables(results, name):
    figure = FIGURES[name](results[source(name)])
    assert isinstance(figure, mpl.figure.Figure)
    assert any(axes.has_data() for axes in figure.axes)


@pytest.mark.parametrize("name", FIGURES)
def test_everything_written_is_inside_the_figure_and_the_legend_apart(results, name):
    figure = FIGURES[name](results[source(name)])
    with mpl.rc_context(STYLE):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
    width, height = figure.bbox.size
    beside = tick_labels(figure)
    for text in texts(figure):
        if text.get_visible() and text not in beside:
            box = text.get_window_extent(renderer)
            assert -1 <= box.x0 <= box.x1 <= width + 1, text.get_text()
            assert -1 <= box.y0 <= box.y1 <= height + 1, text.get_text()
    for box in (legend.get_window_extent(renderer) for legend in figure.legends):
        for axes in figure.axes:
            panel = axes.get_window_extent(renderer)
            assert not panel.overlaps(box)
    head = figure._suptitle.get_window_extent(renderer)
    assert not any(head.overlaps(axes.get_window_extent(renderer)) for axes in figure.axes)
    for axes in figure.axes:
        for side, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            apart(side, sorted(limits), renderer)


def tick_labels(figure):
    """Written by an axis, some of them beyond its limits and therefore not drawn."""
    sides = [side for axes in figure.axes for side in (axes.xaxis, axes.yaxis)]
    ticks = [tick for side in sides for tick in (*side.majorTicks, *side.minorTicks)]
    return [label for tick in ticks for label in (tick.label1, tick.label2)]


def apart(side, limits, renderer):
    """Numbers along an axis do not touch."""
    boxes = [
        tick.label1.get_window_extent(renderer)
        for tick in side.get_major_ticks()
        if tick.label1.get_visible()
        and tick.label1.get_text()
        and limits[0] <= tick.get_loc() <= limits[1]
    ]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "scalability"])
def test_every_figure_of_billed_runs_says_so(results, name):
    figure = FIGURES[name](results["swept"])
    assert "bytes billed ×488.3, compute billed ×4912" in figure._suptitle.get_text()


def test_what_is_not_billed_is_not_told(results):
    summary = results["scaled"].summary
    assert billing_note(summary) == ""
    assert billing_note(summary.drop(columns="billed_bytes_factor")) == ""
    mixed = summary.assign(billed_bytes_factor=[1.0, 2.0])
    assert billing_note(mixed) == "bytes billed ×1 to ×2"


def test_lines_are_told_apart_without_colour(results):
    lines = FIGURES["accuracy_over_time"](results["swept"]).legends[0].get_lines()
    looks = {(line.get_linestyle(), line.get_marker()) for line in lines}
    assert len(lines) == 6
    assert len(looks) == 6
    assert len({line.get_color() for line in lines}) == 6


def test_names_that_matplotlib_would_read_otherwise_are_written_as_they_are(results):
    figure = FIGURES["accuracy_over_time"](results["swept"])
    names = ["".join(text.get_text().split()) for text in figure.legends[0].get_texts()]
    assert "_$x$,trace=bus.csv" in names
    assert f"{LONG},trace=bus.csv" in names


def test_usual_figures_are_saved_and_the_impossible_left_out(folder, tmp_path):
    one = load_runs(folder / "more" / "clients-2")
    names = {path.name for path in save_figures(one, tmp_path)}
    assert {f"accuracy_over_time.{kind}" for kind in FORMATS} <= names
    assert not any(name.startswith(("pareto", "payload", "battery", "scal")) for name in names)
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pareto", "figure pareto: found one series, needed are two"),
        ("payload_breakdown", "figure payload_breakdown: found no record whose details"),
        ("battery_drain", "figure battery_drain: found no 'batteries_j'"),
        ("scalability", "figure scalability: found one number of clients"),
        ("sweep_heat_map", "figure sweep_heat_map: found settings that vary: none"),
        ("pie", "figure: found 'pie', allowed are accuracy_over_time, "),
    ],
)
def test_a_figure_that_the_data_cannot_give_says_so_in_one_line(folder, tmp_path, name, message):
    with pytest.raises(FigureImpossible, match=message) as told:
        save_figures(load(folder / "more" / "clients-2"), tmp_path, [name])
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_and_a_place_that_cannot_be_written(results, tmp_path):
    with pytest.raises(OutputError, match="format: found 'pdf', allowed are png, svg"):
        save_figures(results["all"], tmp_path, ["pareto"], ["pdf"])
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save_figures(results["all"], tmp_path / "file", ["pareto"])


def test_the_same_runs_draw_the_same_bytes(results, tmp_path):
    for at in "ab":
        save_figures(results["swept"], tmp_path / at, ["accuracy_over_time"])
    for kind in FORMATS:
        one, other = (tmp_path / at / f"accuracy_over_time.{kind}" for at in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_of_many_series_the_best_are_drawn_and_the_figure_says_so(tmp_path):
    for at in range(14):
        write_made(tmp_path / f"{at:02}", f"policy-{at:02}", pace=0.05 * (at + 1), rounds=8)
    figure = FIGURES["accuracy_over_time"](load(tmp_path))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    # The two slowest learners are left out.
    assert names == [f"policy-{at:02}" for at in range(2, 14)]
    assert "the 12 best of 14 series" in figure._supxlabel.get_text().replace("\n", " ")


def test_figures_are_reached_from_the_package(folder):
    assert fsim.FIGURES["pareto"](fsim.load(folder)).axes


def test_the_page_on_results_lists_every_figure():
    page = Path(__file__).parents[2] / "docs" / "results.md"
    listed = re.findall(r"^\| `(\w+)` \| .* \| .* \|$", section(page, "Figures"), re.MULTILINE)
    assert listed == [name for name in FIGURES if FIGURES.ships(name)]


def section(page, title):
    return page.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
