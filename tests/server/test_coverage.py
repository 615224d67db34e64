"""Means of updates of which a part was lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.server.aggregation import TrimmedMean, WeightedMean, fedavg, trimmed_mean
from fsim.server.coverage import mean_of_arrived

UPDATES = [{"w": np.array(values, "f4")} for values in ([1, 2, 0], [3, 0, 0], [5, 6, 0])]
COVERAGES = [{"w": np.array(arrived)} for arrived in ([1, 1, 0], [1, 0, 0], [1, 1, 0])]
COVERAGES = [{"w": each["w"].astype(bool)} for each in COVERAGES]


def test_each_coordinate_is_the_mean_of_those_who_brought_it():
    mean = WeightedMean().combine(UPDATES, [1.0, 2.0, 1.0], coverages=COVERAGES)
    # (1 + 2 x 3 + 5) / 4; (2 + 6) / 2; nobody's.
    assert mean["w"].tolist() == [3, 4, 0]


def test_or_of_all_with_zeros():
    mean = WeightedMean(missing="zero").combine(UPDATES, [1.0, 2.0, 1.0], coverages=COVERAGES)
    assert mean["w"].tolist() == [3, 2, 0]


def test_a_client_that_is_missing_whole_still_counts_with_all_selected():
    rule = WeightedMean(denominator="selected")
    mean = rule.combine(UPDATES, [1.0, 2.0, 1.0], selected=[1, 2, 1, 4], coverages=COVERAGES)
    assert mean["w"].tolist() == pytest.approx([12 / 8, 8 / 6, 0])


def test_staleness_scales_numerators_only():
    mean = WeightedMean().combine(
        UPDATES, [1.0, 2.0, 1.0], scales=[0.5, 1.0, 1.0], coverages=COVERAGES
    )
    assert mean["w"].tolist() == pytest.approx([11.5 / 4, 7 / 2, 0])


@given(st.integers(1, 6), st.integers(0, 10**6))
def test_with_nothing_missing_nothing_changes(count, seed):
    rng = np.random.default_rng(seed)
    updates = [{"w": rng.normal(size=(3, 4)).astype("f4")} for _ in range(count)]
    weights = rng.uniform(0.1, 9, count).tolist()
    whole = [{"w": np.ones((3, 4), dtype=bool)} for _ in range(count)]
    mean = fedavg(updates, weights)
    again = mean_of_arrived(mean, weights, whole, float(np.sum(weights)))
    assert np.array_equal(mean["w"], again["w"])


def test_ten_equal_updates_at_a_fifth_of_loss_average_to_the_update():
    rng = np.random.default_rng(0)
    update = {"w": rng.normal(size=5000).astype("f4")}
    coverages = [{"w": rng.random(5000) >= 0.2} for _ in range(10)]
    updates = [{"w": update["w"] * arrived["w"]} for arrived in coverages]
    mean = WeightedMean().combine(updates, [1.0] * 10, coverages=coverages)
    zero = WeightedMean(missing="zero").combine(updates, [1.0] * 10, coverages=coverages)
    length = np.linalg.norm(update["w"])
    assert np.linalg.norm(mean["w"]) >= 0.98 * length
    assert np.linalg.norm(zero["w"]) == pytest.approx(0.8 * length, rel=0.02)


def test_a_trimmed_mean_trims_what_arrived():
    updates = [{"w": np.array([value, value], "f4")} for value in (1, 2, 3, 100, 0)]
    arrived = [{"w": np.array([True, at != 4])} for at in range(5)]
    mean = TrimmedMean(share=0.25).combine(updates, [1.0] * 5, coverages=arrived)
    # Of 0, 1, 2, 3, 100 one at each end; of 1, 2, 3, 100 one at each end.
    assert mean["w"].tolist() == [2, 2.5]
    zero = TrimmedMean(share=0.25, missing="zero").combine(updates, [1.0] * 5, coverages=arrived)
    assert zero["w"].tolist() == [2, 2]


def test_a_trimmed_mean_of_nothing_is_zero():
    nothing = [{"w": np.zeros(2, dtype=bool)}] * 3
    updates = [{"w": np.zeros(2, "f4")}] * 3
    assert trimmed_mean(updates, 0.1, nothing)["w"].tolist() == [0, 0]
