import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.results.statistics import COLUMNS, MEASURED, describe, paired_bootstrap, statistics

NAN = math.nan
POSITIVE = st.floats(0.01, 1e6)


def runs(times, payloads=None):
    """Policy -> time to target seed by seed; all other metrics are 1, or the payloads given."""
    rows = []
    for policy, values in times.items():
        for seed, value in enumerate(values):
            row = dict.fromkeys(MEASURED, 1.0) | {"time_to_target_s": value}
            rows.append({"policy": policy, "seed": seed, **row})
    return pd.DataFrame(rows)


def row(table, policy, metric="time_to_target_s"):
    found = table[(table["policy"] == policy) & (table["metric"] == metric)]
    return found.iloc[0]


def test_worked_by_hand():
    table = statistics(runs({"b": [10.0, 20.0, 30.0], "a": [5.0, 10.0, 24.0]}), "b")
    assert list(table.columns) == list(COLUMNS)
    assert table["policy"].drop_duplicates().tolist() == ["b", "a"]
    base, other = row(table, "b"), row(table, "a")
    assert (base["seeds"], base["reached"], base["pairs"]) == (3, 3, 3)
    # Deviations -10, 0, 10: variance 200 / 2.
    assert (base["mean"], base["deviation"], base["median"]) == (20.0, 10.0, 20.0)
    assert (base["ratio"], base["ratio_low"], base["ratio_high"]) == (1.0, 1.0, 1.0)
    assert (other["mean"], other["median"], other["ratio"]) == (13.0, 10.0, 0.65)
    # The 27 resamples by hand: one is all of the third seed (0.8), 8 are of the first two (0.5).
    assert (other["ratio_low"], other["ratio_high"]) == (0.5, 0.8)


def test_never_reached_is_counted_and_no_time_is_made_up():
    table = statistics(
        runs({"b": [10.0, 20.0, 30.0, 40.0], "some": [NAN, 10.0, NAN, 30.0],
              "one": [NAN, NAN, 15.0, NAN], "none": [NAN] * 4}), "b"
    )  # fmt: skip
    some, one, none = (row(table, policy) for policy in ("some", "one", "none"))
    assert (some["seeds"], some["reached"], some["pairs"]) == (4, 2, 2)
    # Only pairs of the same seed: (10 + 30) / (20 + 40).
    assert (some["mean"], some["ratio"]) == (20.0, pytest.approx(2 / 3))
    # Half of them never: the median lies between 30 and never.
    assert math.isnan(some["median"])
    assert (one["reached"], one["mean"], one["ratio"]) == (1, 15.0, 0.5)
    assert one[["deviation", "median", "ratio_low", "ratio_high"]].isna().all()
    assert (none["seeds"], none["reached"], none["pairs"]) == (4, 0, 0)
    assert none[["mean", "deviation", "median", "ratio", "ratio_low", "ratio_high"]].isna().all()
    assert describe(np.array([NAN, 5.0, 7.0]))["median"] == 7.0


def test_a_baseline_that_never_reached_leaves_no_ratio():
    table = statistics(runs({"b": [NAN, NAN], "a": [1.0, 2.0]}), "b")
    assert row(table, "a")["pairs"] == 0
    assert math.isnan(row(table, "a")["ratio"])
    zero = statistics(runs({"b": [0.0, 1.0], "a": [1.0, 2.0]}), "b")
    assert math.isnan(row(zero, "a")["ratio"])


def test_what_cannot_be_paired_is_told():
    with pytest.raises(ValueError, match="found no run of 'c'"):
        statistics(runs({"b": [1.0]}), "c")
    twice = runs({"b": [1.0]})
    with pytest.raises(ValueError, match="a policy and seed twice"):
        statistics(pd.concat([twice, twice]), "b")
    with pytest.raises(ValueError, match="found 1 values and 2"):
        paired_bootstrap(np.ones(1), np.ones(2))
    with pytest.raises(ValueError, match="not positive"):
        paired_bootstrap(np.ones(2), np.array([1.0, 0.0]))


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=2, max_size=6))
def test_an_interval_is_deterministic_and_within_what_was_seen(pairs):
    values, base = np.array(pairs).T
    low, high = paired_bootstrap(values, base, 200)
    assert (low, high) == paired_bootstrap(values, base, 200)
    single = values / base
    assert single.min() * (1 - 1e-12) <= low <= high <= single.max() * (1 + 1e-12)


@given(st.lists(POSITIVE, min_size=2, max_size=6), st.floats(0.1, 10))
def test_a_policy_in_proportion_has_an_interval_of_one_point(base, factor):
    ends = paired_bootstrap(np.array(base) * factor, np.array(base), 200)
    assert ends == pytest.approx((factor, factor))


def test_the_interval_is_that_of_all_resamples():
    """Of 4 pairs there are 4^4 resamples: their quantiles, worked out one by one."""
    values, base = np.array([3.0, 8.0, 4.0, 9.0]), np.array([5.0, 7.0, 6.0, 8.0])
    every = [
        values[list(at)].sum() / base[list(at)].sum()
        for at in itertools.product(range(4), repeat=4)
    ]
    low, high = paired_bootstrap(values, base)
    assert (low, high) == pytest.approx(np.quantile(every, [0.025, 0.975]), rel=0.02)


def test_the_interval_covers_about_as_often_as_it_says():
    """Lognormal pairs of a known ratio; 20 seeds, 200 experiments (percentile: a little under)."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        weather = rng.lognormal(0, 0.5, 20)
        low, high = paired_bootstrap(
            0.5 * weather * rng.lognormal(0, 0.1, 20), weather * rng.lognormal(0, 0.1, 20), 500
        )
        covered += low <= 0.5 <= high
    assert 0.86 <= covered / 200 <= 0.99
