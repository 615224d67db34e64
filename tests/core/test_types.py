import numpy as np
import pytest

from fsim.core.types import Layout


def update():
    rng = np.random.default_rng(0)
    return {"b": rng.random((2, 3)).astype("f4"), "a": rng.random(5).astype("f4")}


def test_flatten_and_back():
    layout = Layout.of(update())
    assert [spec.name for spec in layout.tensors] == ["a", "b"]
    assert layout.size == 11
    assert layout.bounds.tolist() == [0, 5, 11]
    flat = layout.flatten(update())
    assert np.array_equal(flat[:5], update()["a"])
    again = layout.unflatten(flat)
    assert all(np.array_equal(again[name], update()[name]) for name in again)


def test_what_does_not_fit_is_refused():
    layout = Layout.of(update())
    with pytest.raises(ValueError, match="layout's tensors"):
        layout.flatten({"a": update()["a"]})
    with pytest.raises(ValueError, match="11 coordinates"):
        layout.unflatten(np.zeros(10))


def test_digests_tell_layouts_apart():
    other = update()
    other["a"] = other["a"].reshape(5, 1)
    assert Layout.of(other).digest != Layout.of(update()).digest
