"""A sign a coordinate and a scale a matrix."""

import numpy as np

from fsim.compression.coding.signs import mean_magnitudes
from fsim.core.types import Layout


def test_small_magnitudes_count_beside_a_large_one():
    # In float32, 2^24 + 1 is 2^24.
    vector = np.array([2**24, -1, 1, -1, -3, 5], np.float32)
    layout = Layout.of({"a": vector[:4], "b": vector[4:]})
    assert mean_magnitudes(vector, layout).tolist() == [2**22 + 0.75, 4]
