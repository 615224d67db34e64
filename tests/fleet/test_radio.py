import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.fleet import RADIOS, Radio

LTE, UMTS, NR = (RADIOS[name] for name in ("lte", "3g", "nr"))

RADIO = st.builds(
    Radio,
    name=st.just("made"),
    source=st.just("made up"),
    promotion=st.floats(0, 5),
    promotion_power=st.floats(0, 5),
    tail=st.lists(st.tuples(st.floats(0, 20), st.floats(0, 5)), max_size=4).map(tuple),
)
GAPS = st.floats(0, 1e6)


def whole(radio):
    """Joules of a promotion and of all of a tail."""
    tail = radio.tail_energy(radio.tail_seconds)
    return radio.promotion_energy(radio.promotion) + tail


def test_figures_add_up_to_what_their_paper_says_of_one_packet():
    # Huang et al.: 12.76 J for LTE, in which the packet is, 7.38 J for 3G.
    assert whole(UMTS) == pytest.approx(7.38, abs=0.005)
    assert whole(LTE) == pytest.approx(12.76, rel=0.015)
    assert whole(NR) == pytest.approx(0.34 * 0.245 + 10.2 * 0.593)
    for name, radio in RADIOS.items():
        assert name == radio.name
        assert radio.source


def test_wifi_and_none_take_nothing():
    for name in ("wifi", "none"):
        radio = RADIOS[name]
        assert radio.is_free
        assert radio.promotion_after(math.inf) == whole(radio) == radio.tail_energy(100.0) == 0
    assert not any(radio.is_free for radio in (LTE, UMTS, NR))


def test_joules_of_a_tail_by_hand():
    assert LTE.tail_energy(5.0) == pytest.approx(5 * 1.06)
    assert LTE.tail_energy(1000.0) == pytest.approx(11.576 * 1.06)
    assert UMTS.tail_energy(8.0) == pytest.approx(8 * 0.8039)
    # Half a second into CELL_FACH.
    assert UMTS.tail_energy(8.588) == pytest.approx(8.088 * 0.8039 + 0.5 * 0.6013)
    assert UMTS.tail_energy(math.inf) == pytest.approx(8.088 * 0.8039 + 0.824 * 0.6013)


def test_a_promotion_is_after_a_whole_tail_and_before_the_first_byte():
    assert LTE.promotion_after(11.576) == 0
    assert LTE.promotion_after(11.577) == LTE.promotion_after(math.inf) == 0.26
    assert UMTS.promotion_after(8.911) == 0
    assert UMTS.promotion_after(8.913) == 0.582


@given(RADIO, GAPS)
def test_a_tail_is_the_integral_of_its_power(radio, gap):
    ends = np.cumsum([0.0, *(seconds for seconds, _ in radio.tail)])
    there = np.clip(gap - ends[:-1], 0, np.diff(ends)) if radio.tail else np.zeros(0)
    watts = np.array([power for _, power in radio.tail])
    assert radio.tail_energy(gap) == pytest.approx(float(there @ watts), abs=1e-9)


@given(RADIO, GAPS, GAPS)
def test_longer_gaps_cost_no_less_and_never_more_than_the_whole_tail(radio, one, other):
    short, long = sorted((one, other))
    assert 0 <= radio.tail_energy(short) <= radio.tail_energy(long) <= radio.tail_energy(math.inf)
    assert radio.promotion_after(short) <= radio.promotion_after(long)


@pytest.mark.parametrize(
    "figures",
    [
        {"promotion": -1.0},
        {"promotion_power": math.nan},
        {"promotion": math.inf},
        {"tail": ((1.0, 1.0), (-1.0, 1.0))},
        {"tail": ((1.0, -1.0),)},
    ],
)
def test_figures_that_cannot_be_are_refused(figures):
    with pytest.raises(ValueError, match=r"^radio made: found .*, allowed is 0 or more$"):
        Radio("made", "made up", **figures)


def test_a_gap_is_not_negative():
    for radio in (LTE, RADIOS["none"]):
        with pytest.raises(ValueError, match="found -1, allowed is 0 or more"):
            radio.tail_energy(-1.0)


def test_a_radio_is_listed_in_one_line():
    assert LTE.summary.startswith("promotion 0.26 s at 1.2107 W, tail 11.576 s of 12.3 J; Huang")
    assert RADIOS["wifi"].summary.startswith("no promotion and no tail; 79 ms")
