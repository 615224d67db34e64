import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from fsim.figures.partition import LABEL_COLORS, OTHER_COLOR, partition_figure
from fsim.figures.static.style import STYLE


def counts(clients, labels, seed=0):
    """Counts in which label 0 is the commonest and the last one the rarest."""
    rng = np.random.default_rng(seed)
    table = rng.poisson(np.linspace(60, 4, labels), size=(clients, labels))
    names = [f"label {at}" for at in range(labels)]
    return pd.DataFrame(table, index=pd.RangeIndex(clients, name="client"), columns=names)


def drawn(figure):
    """Widths of the bars by legend text, a row a client, and the sizes drawn beside them."""
    shares, sizes = figure.axes
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    widths = [[bar.get_width() for bar in bars] for bars in shares.containers]
    return dict(zip(names, widths, strict=True)), [bar.get_width() for bar in sizes.containers[0]]


def test_bars_are_the_shares_and_the_sizes():
    table = pd.DataFrame({"rare": [1, 0, 2], "common": [3, 5, 0]})
    shares, sizes = drawn(partition_figure(table))
    assert shares == {"common": [0.75, 1, 0], "rare": [0.25, 0, 1]}
    assert sizes == [4, 5, 2]


def test_bars_of_a_client_follow_one_another():
    shares = partition_figure(counts(30, 8)).axes[0]
    for client in range(30):
        bars = [container[client] for container in shares.containers]
        ends = np.cumsum([bar.get_width() for bar in bars])
        assert [bar.get_x() for bar in bars] == pytest.approx([0, *ends[:-1]])
        assert ends[-1] == pytest.approx(1)
        assert {bar.get_y() + bar.get_height() / 2 for bar in bars} == {client}


def test_rare_labels_are_drawn_together():
    table = counts(40, 23)
    shares, _ = drawn(partition_figure(table))
    kept = table.sum().sort_values(ascending=False).index[:10]
    assert list(shares) == [*kept, "other (13 labels)"]
    others = table.drop(columns=kept).sum(axis=1) / table.sum(axis=1)
    assert shares["other (13 labels)"] == pytest.approx(others.tolist())


def test_a_single_rare_label_keeps_its_name_and_an_absent_one_is_not_drawn():
    table = counts(5, 11).assign(absent=0)
    figure = partition_figure(table)
    assert set(drawn(figure)[0]) == {f"label {at}" for at in range(11)}
    assert figure.axes[0].get_title(loc="left").endswith("11 labels, 5 clients")


def test_labels_that_matplotlib_would_read_otherwise_are_written_as_they_are():
    names = ["_hidden", "$x^2$", "", "a label of very many words that would widen the figure"]
    texts = partition_figure(pd.DataFrame([[4, 3, 2, 1]], columns=names)).legends[0].get_texts()
    assert [text.get_text().replace("\n", " ") for text in texts] == [
        *names[:2],
        "(empty)",
        names[3],
    ]
    assert not any(text.get_parse_math() for text in texts)


def test_clients_without_examples_have_empty_bars():
    shares, sizes = drawn(partition_figure(pd.DataFrame({"a": [2, 0], "b": [2, 0]})))
    assert shares == {"a": [0.5, 0], "b": [0.5, 0]}
    assert sizes == [4, 0]


@pytest.mark.parametrize("clients", [1, 20, 100, 300])
def test_everything_written_is_inside_the_figure_and_apart(clients):
    figure = partition_figure(counts(clients, 23))
    with mpl.rc_context(STYLE):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
    width, height = figure.bbox.size
    assert height <= 9.5 * figure.dpi
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.legends[0].get_window_extent(renderer).x0
    legend = figure.legends[0].get_window_extent(renderer)
    assert legend.x1 <= width
    assert legend.y0 >= 0
    ticks = [t for t in figure.axes[0].get_yticklabels() if t.get_text()]
    boxes = sorted((t.get_window_extent(renderer) for t in ticks), key=lambda box: box.y0)
    assert 1 <= len(boxes) <= 21
    assert all(lower.y1 <= upper.y0 for lower, upper in itertools.pairwise(boxes))
    assert {int(t.get_text()) for t in ticks} <= set(range(clients))


# Machado, Oliveira and Fernandes 2009, full severity, on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "protanope": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranope": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def lab(color, sight):
    """CIE L*a*b* of an sRGB colour as it is seen."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175],
         [0.0193339, 0.119192, 0.9503041]]
    )  # fmt: skip
    x, y, z = np.cbrt(to_xyz @ np.clip(sight @ linear, 1e-4, 1) / to_xyz.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
def test_the_colour_blind_tell_the_labels_apart(sight):
    seen = [lab(color, np.array(SIGHT[sight])) for color in (*LABEL_COLORS, OTHER_COLOR)]
    closest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert closest > 15
