import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fsim.core.registry import choose
from fsim.server.screening import Screen, clip, norm


def update(*values):
    return {"a": np.array(values[:1], "f4"), "b": np.array(values[1:], "f4")}


def test_norm_and_clip_worked_by_hand():
    assert norm(update(3.0, 4.0)) == 5.0
    clipped = clip(update(3.0, 4.0), 1.0)
    assert [clipped["a"].item(), clipped["b"].item()] == pytest.approx([0.6, 0.8])
    assert clipped["a"].dtype == np.float32
    same = update(3.0, 4.0)
    assert clip(same, 5.0) is same
    with pytest.raises(ValueError, match="limit: found 0"):
        clip(same, 0)
    with pytest.raises(ValueError, match="not finite"):
        clip(update(np.inf), 1.0)


@given(
    hnp.arrays(np.float32, 6, elements=st.floats(-(2.0**99), 2.0**99, width=32)),
    st.floats(1e-3, 1e6),
)
def test_clipping_keeps_the_direction_and_bounds_the_length(values, limit):
    clipped = clip({"w": values}, limit)["w"]
    assert norm({"w": clipped}) <= limit * (1 + 1e-6)
    if norm({"w": values}) > limit:
        expected = values.astype("f8") * (limit / np.linalg.norm(values.astype("f8")))
        np.testing.assert_allclose(clipped, expected, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_always_rejected(bad):
    rejection = Screen().check(update(bad, 1.0, 2.0))
    assert rejection is not None
    assert rejection.kind == "not-finite"
    assert rejection.reason == "1 of 3 coordinates are NaN or infinite"


def test_the_largest_floats_have_a_norm():
    largest = float(np.finfo("f4").max)
    assert norm(update(largest, largest)) == pytest.approx(largest * 2**0.5)
    assert Screen().check(update(largest, largest)) is None


def test_an_absolute_bound():
    screen = Screen(most_norm=5.0)
    assert screen.check(update(3.0, 4.0)) is None
    rejection = screen.check(update(6.0, 8.0))
    assert rejection is not None
    assert rejection.kind == "norm"
    assert rejection.reason == "norm 10, allowed is 5"


def test_a_bound_by_the_median_of_recent_updates_worked_by_hand():
    screen = Screen(most_ratio=3.0, window=4)
    huge = update(1e6)
    screen.accept(update(1.0))
    # One of four known: less than half of the window says nothing yet.
    assert screen.check(huge) is None
    screen.accept(update(2.0))
    assert screen.usual_norm() == 1.5
    assert screen.check(update(4.5)) is None
    rejection = screen.check(update(4.6))
    assert rejection is not None
    assert rejection.kind == "norm"
    assert rejection.reason == ("norm 4.6, allowed is 3 times the median of recent updates, 1.5")
    # Only the last four count.
    for _ in range(4):
        screen.accept(update(10.0))
    assert screen.usual_norm() == 10.0
    assert screen.check(update(30.0)) is None


def test_checking_changes_nothing_and_zeros_do_not_bar_everyone():
    screen = Screen(most_ratio=2.0, window=2)
    for _ in range(3):
        screen.check(update(5.0))
    assert screen.usual_norm() is None
    screen.accept(update(0.0))
    screen.accept(update(0.0))
    assert screen.check(update(7.0)) is None


def test_accepting_clips_and_remembers_the_length_as_it_came():
    screen = Screen(clip_norm=1.0, window=2)
    assert screen.accept(update(0.0, 4.0))["b"].tolist() == [1.0]
    assert screen.usual_norm() == 4.0


def test_a_window_and_a_ratio_at_the_ends_of_what_is_allowed():
    assert Screen(window=10_000).usual_norm() is None
    screen = Screen(most_ratio=1, window=2)
    screen.accept(update(3.0, 4.0))
    assert screen.check(update(4.0, 3.0)) is None
    assert screen.check(update(4.0, 3.1)) is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_norm": float("inf")}, "clip_norm: found inf, allowed is more than 0"),
        ({"most_norm": float("inf")}, "most_norm: found inf, allowed is more than 0"),
        ({"most_ratio": float("inf")}, "most_ratio: found inf, allowed is 1 or more"),
        ({"window": 10_001}, "window: found 10001, allowed are 2 to 10000"),
        ({"most_norm": 0}, r"most_norm: found 0\.0, allowed is more than 0"),
        ({"clip_norm": float("nan")}, "clip_norm: found nan"),
        ({"most_ratio": 0.5}, r"most_ratio: found 0\.5, allowed is 1 or more"),
        ({"window": 1}, "window: found 1, allowed are 2 to 10000"),
        ({"size": 1}, "unknown key, allowed are most_norm, most_ratio, window, clip_norm"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        choose("screen", {"screen": Screen}, "screen", options)
