"""A policy's look, whatever it is compared with."""

import subprocess
import sys

import pytest

from fsim.compression import POLICIES
from fsim.figures.contents.rounds import PARTS
from fsim.figures.registry import FIGURES
from fsim.figures.series import COLORS, DASHES, HATCHES, MARKERS, SHIPPED, looks, looks_by_policy
from fsim.figures.static.figure import draw
from fsim.results.loading import load
from tests.results.made import write_made

MINE = "mine:bits=3"


def alone(*names):
    return looks_by_policy({name: name for name in names})


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory):
    """Two comparisons in which three policies are the same, in other places of the list.

    Topk is in neither, whose colour is the one that the hash of the name of one's own chooses.
    """
    top = tmp_path_factory.mktemp("comparisons")
    for key, policies in {
        "a": ("float16", "fedpaq", MINE, "qsgd"),
        "b": ("eden", "qsgd", "fstq", MINE, "float16", "masked-sign"),
    }.items():
        for at, policy in enumerate(policies):
            write_made(top / key / str(at), policy)
    return [load(top / key) for key in "ab"]


def printed(content):
    """Name -> colour, as matplotlib draws the legend."""
    legend = draw(content).legends[0]
    names = [text.get_text() for text in legend.get_texts()]
    handles = [*legend.get_lines(), *legend.get_patches()]
    colors = [
        each.get_color() if hasattr(each, "get_color") else each.get_edgecolor() for each in handles
    ]
    return dict(zip(names, colors, strict=True))


def charted(chart):
    """Name -> colour, as plotly draws the traces."""
    return {
        trace.legendgroup: trace.line.color or trace.marker.line.color or trace.marker.color
        for trace in chart.figure.data
        if trace.legendgroup and trace.showlegend
    }


def test_every_policy_that_ships_has_a_look_of_its_own():
    shipped = {name for name in POLICIES if POLICIES.ships(name)}
    assert set(SHIPPED) == shipped
    drawn = alone(*SHIPPED).values()
    assert len({(look.color, look.form % MARKERS) for look in drawn}) == len(SHIPPED)
    assert len({(look.form % DASHES, look.form % MARKERS) for look in drawn}) == len(SHIPPED)
    assert [look.color for look in drawn][:8] == list(COLORS)
    # The usual baseline is black, and nothing else is.
    assert [name for name, look in alone(*SHIPPED).items() if look.color == "#000000"] == [
        "float16"
    ]


@pytest.mark.parametrize("name", ["accuracy_over_time", "uplink_over_time", "energy_per_round"])
def test_a_policy_has_one_colour_in_two_comparisons_and_both_faces(comparisons, name):
    shown = [FIGURES[name].content(results) for results in comparisons]
    first, second = (printed(content) for content in shown)
    for policy in ("float16", "qsgd", MINE):
        assert first[policy] == second[policy]
    for content, results, colors in zip(shown, comparisons, (first, second), strict=True):
        assert charted(FIGURES[name].chart(results)) == colors
        assert len(set(colors.values())) == len(content.entries)


@pytest.mark.parametrize("name", ["pareto", "stragglers", "scalability"])
def test_and_the_same_one_in_every_figure(tmp_path, name):
    policies = ("topk", MINE, "float16")
    for policy in policies:
        for clients in (2, 4):
            write_made(
                tmp_path / f"{policy}-{clients}",
                policy,
                clients=clients,
                protocol__clients_per_round=clients if name == "scalability" else 4,
                seed=clients,
            )
    content = FIGURES[name].content(load(tmp_path))
    colors = {policy: content.entries[policy][0].look.color for policy in policies}
    assert colors == {policy: look.color for policy, look in alone(*policies).items()}


def test_a_name_of_ones_own_gives_way_only_where_its_colour_is_taken():
    own = alone(MINE)[MINE].color
    assert alone("a", MINE, "b")[MINE].color == own or own in {
        alone("a")["a"].color, alone("b")["b"].color
    }  # fmt: skip
    (same,) = [name for name in SHIPPED[:8] if alone(name)[name].color == own]
    both = alone(MINE, same)
    assert both[same].color == own
    assert both[MINE].color != own


def test_the_order_of_the_list_does_not_matter():
    names = ["topk", "mine", "theirs", "float16", "ours"]
    assert alone(*names) == {name: alone(*sorted(names))[name] for name in names}


def test_settings_of_one_policy_are_told_apart_and_one_is_drawn_as_the_policy():
    series = {f"{policy}, trace={at}": policy for policy in ("float16", "topk") for at in "abc"}
    drawn = looks_by_policy(series)
    assert len({look.color for look in drawn.values()}) == 6
    assert drawn["float16, trace=a"] == alone("float16")["float16"]
    assert drawn["topk, trace=a"] == alone("topk")["topk"]


def test_areas_of_as_many_series_as_there_are_hatches_have_one_each(comparisons):
    for results in comparisons:
        hatches = [look.hatch for look in looks(results.series).values()]
        assert len(set(hatches)) == len(hatches) <= len(HATCHES)
    assert len({(look.fill, look.hatch) for _, look in PARTS.values()}) == len(PARTS)


@pytest.mark.parametrize("library", ["matplotlib", "plotly"])
def test_what_figures_show_is_put_together_without_a_library_that_draws(library):
    program = f"import sys, fsim.figures.registry; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
