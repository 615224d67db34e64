"""Each generator against closed forms and sums worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.core.distributions import Distribution
from fsim.core.errors import TraceError
from fsim.core.rng import stream
from fsim.network.generators import (
    POPULATIONS,
    PROFILES,
    LogNormalTrace,
    MarkovTrace,
    Outages,
    QuantileTrace,
    Statistics,
    generate,
    measure,
)
from fsim.network.generators.lognormal import fit_quantiles


def rng(seed=0):
    return stream(seed, "test")


def autocorrelation(values, lag):
    return np.corrcoef(values[:-lag], values[lag:])[0, 1]


def longest_run(down):
    return max((len(run) for run in "".join("01"[int(d)] for d in down).split("0")), default=0)


def test_outages_are_geometric_with_the_stated_share():
    down = Outages(0.1, 4.0).draw(200_000, rng())
    assert down.sum() == 20_000
    edges = np.flatnonzero(np.diff(down.astype(int)))
    durations = edges[1::2] - edges[::2]
    assert durations.mean() == pytest.approx(4, rel=0.05)
    # P(D > k) = (3/4)^k.
    assert (durations > 3).mean() == pytest.approx(0.75**3, abs=0.03)
    gaps = edges[2::2] - edges[1:-1:2]
    assert gaps.mean() == pytest.approx(36, rel=0.05)
    assert (gaps > 36).mean() == pytest.approx((1 - 1 / 36) ** 36, abs=0.03)


def test_truncated_outages_keep_their_mean():
    down = Outages(0.2, 5.0, 12).draw(200_000, rng())
    edges = np.flatnonzero(np.diff(down.astype(int)))
    durations = edges[1::2] - edges[::2]
    assert durations.max() == 12
    assert durations.mean() == pytest.approx(5, rel=0.03)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 2000),
    st.floats(0, 0.6),
    st.integers(1, 40),
    st.floats(0, 1),
    st.integers(0, 1000),
)
def test_outages_keep_their_law_or_refuse(seconds, share, longest, part, seed):
    law = Outages(share, 1 + part * (longest - 1) / 2, longest)
    try:
        down = law.draw(seconds, rng(seed))
    except TraceError:
        return
    assert down.sum() == (round(share * seconds) if share else 0)
    if share:
        assert longest_run(down) == longest
        assert not down[0]
        assert not down[-1]


def test_lognormal_by_its_closed_forms():
    law = LogNormalTrace(1.5, 0.8, 0.9, Outages(0.1, 4.0, 20))
    rates = law.rates(50_000, rng())
    up = rates[rates > 0]
    assert rates.mean() == pytest.approx(1.5, rel=1e-9)
    # mean / 0.9 x exp(-0.32); p95 over p50 is exp(0.8 x 1.6449).
    assert law.median == pytest.approx(1.5 / 0.9 * math.exp(-0.32))
    assert np.median(up) == pytest.approx(law.median, rel=0.005)
    assert np.percentile(up, 95) / np.median(up) == pytest.approx(3.7279, rel=0.005)
    assert np.std(np.log(up)) == pytest.approx(0.8, rel=0.005)
    plain = np.log(LogNormalTrace(1.5, 0.8, 0.9).rates(50_000, rng()))
    for lag in (1, 2, 5):
        assert autocorrelation(plain, lag) == pytest.approx(0.9**lag, abs=0.03)


def test_markov_by_its_closed_forms():
    law = MarkovTrace(2.0, (1.0, 4.0), (0.3, 0.7), 0.05, 0.8)
    logs = np.log(law.rates(100_000, rng()))
    slow = logs < np.mean([logs.min(), logs.max()])
    assert slow.mean() == pytest.approx(0.3, abs=0.005)
    # Rates lie apart by their levels' ratio.
    assert np.median(logs[~slow]) - np.median(logs[slow]) == pytest.approx(math.log(4), abs=0.005)
    # A visit to the slow state lasts 1 / (0.2 x 0.7) s.
    visits = np.sum(np.diff(slow.astype(int)) == 1)
    assert slow.sum() / visits == pytest.approx(1 / 0.14, rel=0.05)
    # Variance between states: 0.21 x (ln 4)^2.
    between = 0.21 * math.log(4) ** 2
    share = between / (between + 0.05**2)
    assert law.between_share == pytest.approx(share)
    for lag in (1, 3):
        assert law.autocorrelation(lag) == pytest.approx(share * 0.8**lag)
        assert autocorrelation(logs, lag) == pytest.approx(share * 0.8**lag, abs=0.02)


def test_markov_fit_has_the_statistics_it_was_fitted_to():
    law = MarkovTrace.fit(
        1.85, (0.03, 1.57, 4.79), (1, 0.6), (0.2, 0.5, 0.3), outages=Outages(0.03, 2.0)
    )
    assert law.autocorrelation(1) == pytest.approx(0.6)
    # The mixture's distribution function, written out.
    for rate, share in ((0.03, 0.05), (1.57, 0.5), (4.79, 0.95)):
        below = sum(
            part * 0.5 * math.erfc(-math.log(rate / level) / law.sigma / math.sqrt(2))
            for level, part in zip(law.levels, law.shares, strict=True)
        )
        assert 0.03 + 0.97 * below == pytest.approx(share, abs=1e-6)
    mean = 0.97 * sum(
        part * level * math.exp(law.sigma**2 / 2)
        for level, part in zip(law.levels, law.shares, strict=True)
    )
    assert mean == pytest.approx(1.85, rel=1e-6)
    rates = law.rates(20_000, rng())
    assert np.percentile(rates, [5, 50, 95]) == pytest.approx([0.03, 1.57, 4.79], rel=0.01)


def test_markov_fit_refuses_what_no_chain_has():
    with pytest.raises(TraceError, match="allowed are other shares"):
        MarkovTrace.fit(9.0, (0.03, 1.57, 4.79), (1, 0.5), (0.2, 0.5, 0.3))
    for unreachable in (0.9999, -0.2):
        with pytest.raises(TraceError, match=f"autocorrelation of {unreachable:g} at 1 s"):
            MarkovTrace.fit(1.85, (0.03, 1.57, 4.79), (1, unreachable), (0.2, 0.5, 0.3))


@pytest.mark.parametrize(
    ("highest", "linear"),
    # Linear between 0.1, 1, 2, 4, 5 the mean is 0.05 x 0.55 + 0.45 x 1.5 + 0.45 x 3 + 0.05 x 4.5.
    [(5.0, 0.0275 + 0.675 + 1.35 + 0.225)],
)
def test_quantiles_linear_by_hand(highest, linear):
    law = QuantileTrace(linear, 1.0, 2.0, 4.0, 0.1, 0.5, highest)
    top, power = law.solve()
    assert (top, power) == (5.0, pytest.approx(1.0, abs=1e-3))
    assert law.quantile(np.array([0.275, 0.725]), top, 1.0) == pytest.approx([1.5, 3.0])


def test_quantiles_that_no_mean_fits_are_refused():
    with pytest.raises(TraceError, match="its quantiles allow"):
        QuantileTrace(9.0, 1.0, 2.0, 4.0, 0.1, 0.5, 5.0).rates(10, rng())
    with pytest.raises(TraceError, match="do not decrease"):
        QuantileTrace(1.0, 3.0, 2.0, 4.0, 0.1, 0.5)
    with pytest.raises(TraceError, match="p5 0 Mbit/s"):
        QuantileTrace(1.0, 0.0, 2.0, 4.0, 0.1, 0.5)


def test_fit_of_quantiles_is_exact_for_two_and_least_squares_for_three():
    median, sigma = fit_quantiles({0.05: 0.5, 0.95: 2.0})
    assert median == pytest.approx(1.0)
    assert sigma == pytest.approx(math.log(2) / 1.644854, rel=1e-6)
    median, sigma = fit_quantiles({0.1: 0.07, 0.5: 1.0, 0.9: 6.4})
    assert median == pytest.approx((0.07 * 1.0 * 6.4) ** (1 / 3))
    assert sigma == pytest.approx(math.log(6.4 / 0.07) / (2 * 1.281552), rel=1e-6)


def test_population_laws_are_laws_of_a_scenario():
    for population in POPULATIONS.values():
        law = Distribution.parse(population.law, "rate")
        median, sigma = law.parameters
        assert median * 8 / 1e6 == pytest.approx(
            population.median * population.mean_factor, rel=0.01
        )
        assert sigma == pytest.approx(population.sigma, rel=0.01)
    # No log-normal meets MobiPerf's three; the closest is off by a quarter at most.
    mobiperf = POPULATIONS["mobiperf-cellular"]
    for share, rate in mobiperf.quantiles.items():
        z = {0.1: -1.281552, 0.5: 0.0, 0.9: 1.281552}[share]
        assert mobiperf.median * math.exp(mobiperf.sigma * z) == pytest.approx(rate, rel=0.25)


def test_measure_by_hand():
    found = measure(np.array([1.0, 0, 0, 0, 2.0, 0, 4.0, 3.0]))
    assert (found.mean, found.p50) == (1.25, 0.5)
    assert (found.outage_share, found.longest_outage) == (0.5, 3)
    assert measure(np.array([1.0, 1.0])).correlation is None
    # Up and down again and again: perfectly anticorrelated.
    assert measure(np.tile([1.0, 2.0], 50)).correlation == pytest.approx(-1)


def test_another_seed_is_another_trace():
    profile = PROFILES["lte-driving"]
    assert not np.array_equal(generate(profile, 50, 0), generate(profile, 50, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Outages(1.0, 2.0), "allowed is 0 to below 1"),
        (lambda: Outages(0.1, 0.5), "allowed is 1 s or more"),
        (lambda: Outages(0.1, 10.0, 5), "a longest of at least 19 s"),
        (lambda: Outages(0.1, math.nan), "allowed is 1 s or more"),
        (lambda: LogNormalTrace(0, 1, 0), "allowed is above 0"),
        (lambda: LogNormalTrace(1, math.nan, 0), "sigma of nan"),
        (lambda: MarkovTrace(1, (1, 2), (1,), 0.1, 0), "2 levels and 1 shares"),
        (lambda: MarkovTrace(1, (1, 2), (0.5, 0.6), 0.1, 0), "of sum 1"),
        (lambda: MarkovTrace(1, (1, -2), (0.5, 0.5), 0.1, 0), "positive rates"),
        (lambda: LogNormalTrace(1, 1, 1.0).rates(5, rng()), "correlation of 1"),
        (lambda: generate(PROFILES["lte"], 1, 0), "allowed are 2 to 1000000"),
        (lambda: generate(PROFILES["lte"], 10**9, 0), "allowed are 2 to 1000000"),
        (lambda: generate(PROFILES["lte"], 5, -1), "found seed -1"),
        (lambda: generate(PROFILES["att-lte-driving"], 600, 0), "need at least 839 s"),
        (lambda: Outages(0.6, 1.0).draw(10, rng()), "leaves no time between them"),
    ],
)
def test_what_makes_no_trace_is_refused_in_one_line(make, message):
    with pytest.raises(TraceError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_statistics_in_words():
    published = Statistics(mean=0.384, p5=0, longest_outage=22, correlation=0.5)
    assert published.text() == "mean 0.384, p5 0 Mbit/s, longest outage 22 s, correlation 0.5"
    assert measure(np.array([0.384, 0.384])).text(Statistics(mean=0.384)) == "mean 0.384 Mbit/s"
