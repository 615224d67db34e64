import itertools

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fsim.figures.fleet import POINTS, distribution, fleet_figure
from fsim.figures.static.style import STYLE

RNG = np.random.default_rng(0)
MANY = {f"raspberry-pi-number-{at}": RNG.lognormal(at / 4, 0.8, 300).tolist() for at in range(7)}
FLAT = [0.5] * 25


def test_distribution_worked_by_hand():
    steps, shares = distribution([3.0, 1.0, 2.0, 2.0])
    assert steps.tolist() == [1, 1, 2, 2, 3]
    assert shares.tolist() == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("count", [1, 2, POINTS - 1, POINTS + 1, 100_000])
def test_distribution_is_that_of_all_values(count):
    values = RNG.lognormal(0, 1, count)
    steps, shares = distribution(values)
    assert len(steps) <= POINTS + 1
    assert (steps[0], steps[-1]) == (values.min(), values.max())
    assert (shares[0], shares[-1]) == (0, 1)
    below = [(values <= step).mean() for step in steps[1:]]
    assert shares[1:] == pytest.approx(below)


def test_the_curves_are_the_rates_and_the_shares():
    available = np.linspace(0, 1, 25)
    left, right = fleet_figure({"a": [1.0, 2.0], "b": [4.0]}, available, 3).axes
    assert [line.get_label() for line in left.lines] == ["a (2)", "b (1)"]
    assert left.lines[0].get_xdata().tolist() == [1, 1, 2]
    assert right.lines[0].get_ydata() == pytest.approx(available)
    assert right.lines[0].get_xdata().tolist() == list(range(25))
    assert "of 3" in right.get_title(loc="left")


def test_devices_are_told_apart_without_colour():
    lines = fleet_figure(MANY, FLAT, 5).axes[0].lines
    looks = [(line.get_linestyle(), line.get_marker()) for line in lines]
    assert len(set(looks)) == len(MANY)
    assert len({line.get_marker() for line in lines}) == len(MANY)


@pytest.mark.parametrize(
    "uplink", [MANY, {"laptop": [8.0]}, {"a": [0.01, 0.02], "b": [5000.0]}, {"a": [3.0, 3.1]}]
)
def test_everything_written_is_inside_the_figure_and_apart(uplink):
    figure = fleet_figure(uplink, FLAT, 5)
    with mpl.rc_context(STYLE):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
    width, height = figure.bbox.size
    legend = figure.legends[0].get_window_extent(renderer)
    assert 0 <= legend.x0 < legend.x1 <= width
    assert legend.y0 >= 0
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        assert box.x0 >= 0
        assert box.x1 <= width
        assert legend.y1 <= box.y0
        assert box.y1 <= height
        low, high = axes.get_xlim()
        ticks = [
            tick.label1
            for tick in axes.xaxis.get_major_ticks()
            if low <= tick.get_loc() <= high and tick.label1.get_text()
        ]
        assert len(ticks) >= 2
        boxes = [tick.get_window_extent(renderer) for tick in ticks]
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))
