import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fsim.figures.traces import MOST_STEPS, drawn_steps, outages, trace_figure

MBIT = 1e6 / 8
STAIRS = (np.array([0.0, 2, 5, 6]), np.array([4.0, 0, 1, 0]) * MBIT, 6.5)


def stairs(axes):
    return [patch.get_data() for patch in axes.patches]


def test_panels_show_the_rates_and_their_distribution():
    figure = trace_figure({"a": STAIRS, "b $x$ _": STAIRS})
    FigureCanvasAgg(figure).draw()
    assert len(figure.axes) == 4
    left, right = figure.axes[:2]
    drawn = stairs(left)[0]
    assert drawn.values.tolist() == [4, 0, 1, 0]
    assert drawn.edges.tolist() == [0, 2, 5, 6, 6.5]
    # Six whole seconds: 4 4 0 0 0 1, sorted, a sixth of the axis each.
    assert stairs(right)[0].values == pytest.approx([0, 0, 0, 1, 4, 4])
    assert stairs(right)[0].edges == pytest.approx(np.arange(7) / 6)
    # 9 Mbit in 6.5 s, and one outage of more than a second.
    assert left.get_title(loc="left") == "a: mean 1.38 Mbit/s, outages 1, longest 3 s"
    assert figure.axes[2].get_title(loc="left").startswith("b $x$ _: mean")
    assert left.get_xlim() == (0, 6.5)


def test_outages_join_neighbouring_pieces_and_end_with_the_trace():
    starts = np.array([0.0, 1, 2, 10, 11])
    rates = np.array([0.0, 0, 5, 0, 0])
    assert outages((starts, rates, 12.5)) == [(0, 2), (10, 12.5)]
    assert outages((starts, rates, 12.5), longer_than=2.2) == [(10, 12.5)]
    assert outages((np.zeros(1), np.ones(1), 1.0)) == []


def test_more_steps_than_can_be_seen_are_averaged_and_keep_the_bytes():
    rng = np.random.default_rng(0)
    starts = np.append(0.0, np.cumsum(rng.uniform(0.01, 1, 9999)))
    rates = rng.uniform(0, 1e6, 10_000)
    duration = float(starts[-1] + 1)
    edges, means = drawn_steps((starts, rates, duration))
    assert (len(edges), len(means)) == (MOST_STEPS + 1, MOST_STEPS)
    carried = np.diff(np.append(starts, duration)) @ rates
    assert np.diff(edges) @ means == pytest.approx(carried)


def test_a_trace_of_less_than_a_second_has_one_rate_in_its_distribution():
    figure = trace_figure({"a": (np.array([0.0, 0.1]), np.array([0.0, 1]) * MBIT, 0.2)})
    assert stairs(figure.axes[1])[0].values == pytest.approx([0.5])
