import numpy as np
import pytest

from fsim.core.errors import TraceError
from fsim.network.formats.trace_statistics import binned, statistics

MBIT = 1e6 / 8


def test_figures_worked_by_hand():
    # 2 s at 4, 3 s at 0, 1 s at 0 (one outage of 4 s), 4 s at 1, half a second at 0: 12 Mbit.
    starts = np.array([0.0, 2, 5, 6, 10])
    rates = np.array([4.0, 0, 0, 1, 0]) * MBIT
    found = statistics((starts, rates, 10.5))
    assert (found.pieces, found.duration_s) == (4, 10.5)
    assert found.mean_mbit_s == pytest.approx(12 / 10.5)
    # Ten whole seconds: 0 0 0 0 1 1 1 1 4 4; the half second is none.
    assert found.p5_mbit_s == pytest.approx(0)
    assert found.p50_mbit_s == pytest.approx(1)
    assert found.p95_mbit_s == pytest.approx(4)
    assert (found.outages, found.longest_outage_s) == (1, 4)
    assert found.zero_share == pytest.approx(4.5 / 10.5)


def test_pieces_that_straddle_bins():
    pieces = (np.array([0.0, 0.5, 1.75]), np.array([10.0, 20, 40]), 3.0)
    assert binned(pieces, 1.0) == pytest.approx([15, 25, 40])


def test_shorter_than_a_bin():
    found = statistics((np.array([0.0, 0.1]), np.array([0, MBIT]), 0.2))
    assert found.p50_mbit_s == pytest.approx(0.5)


def test_a_last_bin_that_rounding_shortened_counts():
    starts = np.arange(30) * 0.1
    duration = 3 * (1 - 1e-12)
    assert len(binned((starts, np.ones(30), duration), 1.0)) == 3


def test_too_many_seconds_are_refused():
    for duration in (1e12, np.inf):
        with pytest.raises(TraceError, match="allowed are 10000000 bins"):
            binned((np.zeros(1), np.ones(1), duration), 1.0)
