import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.fleet import AlwaysOn, Dropout, OnOff
from fsim.streams import stream


def test_always_on():
    assert AlwaysOn().next_available(12.5) == 12.5
    assert AlwaysOn().drops_out(3) is None


def test_dropout_loses_the_stated_share_at_moments_spread_evenly():
    law = Dropout(0.3, lambda round_number: stream(0, "test", round_number))
    moments = [law.drops_out(round_number) for round_number in range(4000)]
    lost = [moment for moment in moments if moment is not None]
    assert len(lost) / 4000 == pytest.approx(0.3, abs=0.03)
    assert np.mean(lost) == pytest.approx(0.5, abs=0.03)
    assert 0 <= min(lost) <= max(lost) < 1


def test_dropout_of_a_round_is_the_same_whenever_asked():
    law = Dropout(0.5, lambda round_number: stream(0, "test", round_number))
    assert [law.drops_out(r) for r in (5, 1, 5)] == [law.drops_out(r) for r in (5, 1, 5)]


def test_on_off_is_on_for_its_share_of_the_time():
    process = OnOff(on=30, off=60, rng=np.random.default_rng(0))
    times = np.linspace(0, 200_000, 40_000)
    on = np.mean([process.next_available(t) == t for t in times])
    assert on == pytest.approx(1 / 3, abs=0.02)


@given(st.lists(st.floats(0, 5000), min_size=1, max_size=30), st.integers(0, 100))
def test_asking_an_on_off_client_never_changes_the_answer(times, seed):
    asked = OnOff(20, 40, np.random.default_rng(seed))
    for time in times:
        asked.next_available(time)
    fresh = OnOff(20, 40, np.random.default_rng(seed))
    for time in sorted(times):
        answer = fresh.next_available(time)
        assert asked.next_available(time) == answer
        assert answer >= time
        assert fresh.next_available(answer) == answer
