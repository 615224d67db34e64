"""Scales of a byte."""

import numpy as np
import pytest

from fsim.compression.coding.log_scales import scale_codes, scales_of


def test_codes_worked_by_hand():
    # 2^10 is the largest; every step is a sixth of an octave, so 1 is 60 steps on.
    assert scale_codes(np.array([0, 2.0**10, 2.0**9, 1.0, 2.0**-0.5])).tolist() == [0, 1, 7, 61, 64]
    found = scales_of(np.array([0, 1, 7, 61, 64, 255], np.uint8))
    assert found.dtype == np.float32
    assert found == pytest.approx([0, 1024, 512, 1, 2**-0.5, 2 ** (10 - 254 / 6)])


def test_what_is_too_large_or_too_small_becomes_the_nearest():
    assert scale_codes(np.array([1e9, 1e-30])).tolist() == [1, 255]


def test_a_scale_is_within_six_percent():
    scales = np.geomspace(2.0**-32, 2.0**10, 1000)
    assert scales_of(scale_codes(scales)) == pytest.approx(scales, rel=0.06)
