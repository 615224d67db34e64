import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.network.transports.congestion import mathis, pftk

# Loss -> Mbit/s of Mathis and of PFTK with b = 1 for 1448-byte segments and 80 ms, worked out
# independently of this project.
WORKED_OUT = {
    0.01: (1.77, 1.63), 0.02: (1.25, 1.06), 0.05: (0.79, 0.53), 0.10: (0.56, 0.26),
    0.20: (0.40, 0.08),
}  # fmt: skip

losses, trips = st.floats(1e-6, 0.99), st.floats(1e-3, 2)


@pytest.mark.parametrize(("loss", "expected"), WORKED_OUT.items())
def test_formulas_as_worked_out(loss, expected):
    found = [formula(1448, loss, 0.08) * 8 / 1e6 for formula in (mathis, pftk)]
    assert found == pytest.approx(expected, abs=0.0051)


def test_mathis_by_hand():
    # 1.5% and 100 ms: sqrt(1.5 / 0.015) = 10 segments a round trip.
    assert mathis(1448, 0.015, 0.1) == pytest.approx(144_800)


def test_pftk_by_hand():
    # p = 0.24, R = 0.1 s: sqrt(2p/3) = 0.4, 3 sqrt(3p/8) = 0.9, T0 = 0.4 s:
    # 0.04 + 0.4 * 0.9 * 0.24 * (1 + 32 * 0.0576) = 0.2856525 s a segment.
    assert pftk(1448, 0.24, 0.1) == pytest.approx(1448 / 0.28565248)
    # Timeouts are no shorter than 0.2 s: R = 10 ms, 0.004 + 0.2 * 0.614131...
    assert pftk(1448, 0.24, 0.01) == pytest.approx(1448 / (0.004 + 0.12282624))


def test_no_loss_is_no_limit():
    assert mathis(1448, 0.0, 0.1) == pftk(1448, 0.0, 0.1) == math.inf
    assert mathis(1448, 0.1, 0.0) == math.inf
    assert pftk(1448, 0.1, 0.0) < math.inf


@given(losses, trips)
def test_timeouts_only_slow_down(loss, round_trip):
    assert pftk(1448, loss, round_trip) <= mathis(1448, loss, round_trip)


@given(losses, trips, st.floats(0.01, 1))
def test_less_loss_or_a_shorter_way_is_faster(loss, round_trip, factor):
    for formula in (mathis, pftk):
        rate = formula(1448, loss, round_trip) * (1 - 1e-12)
        assert formula(1448, loss * factor, round_trip) >= rate
        assert formula(1448, loss, round_trip * factor) >= rate


@given(losses, st.lists(trips, min_size=1, max_size=5))
def test_many_round_trips_at_once(loss, many):
    for formula in (mathis, pftk):
        expected = [formula(1448, loss, round_trip) for round_trip in many]
        assert formula(1448, loss, np.array(many)).tolist() == expected
