import numpy as np
import pytest

from fsim.core.distributions import Distribution


@pytest.mark.parametrize(
    ("text", "kind", "parameters"),
    [
        ("20 Mbit/s", "constant", (2.5e6,)),
        ("lognormal(8 Mbit/s, 0.8)", "lognormal", (1e6, 0.8)),
        ("uniform( 8 kbit/s , 16 kbit/s )", "uniform", (1e3, 2e3)),
        ("exponential(8 kbit/s)", "exponential", (1e3,)),
    ],
)
def test_reading_and_writing(text, kind, parameters):
    law = Distribution.parse(text, "rate")
    assert (law.kind, law.parameters) == (kind, parameters)
    assert Distribution.parse(law.text("B/s"), "rate") == law


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gamma(1 Mbit/s, 2)", "allowed are a quantity, uniform"),
        ("lognormal(1 Mbit/s)", r"allowed is lognormal\(MEDIAN"),
        ("lognormal(1 Mbit/s, wide)", "SIGMA is a number"),
        ("lognormal(1 Mbit/s, -1)", "SIGMA is a number"),
        ("uniform(2 Mbit/s, 1 Mbit/s)", "LOW must not exceed HIGH"),
        ("uniform(1, 2)", "a rate with a unit"),
    ],
)
def test_what_is_no_distribution_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Distribution.parse(text, "rate")


@pytest.mark.parametrize(
    ("law", "median", "mean"),
    [
        (Distribution("constant", (3.0,)), 3, 3),
        (Distribution("uniform", (1.0, 5.0)), 3, 3),
        (Distribution("lognormal", (3.0, 0.8)), 3, 3 * np.exp(0.32)),
        (Distribution("exponential", (3.0,)), 3 * np.log(2), 3),
    ],
)
def test_draws_follow_the_law(law, median, mean):
    rng = np.random.default_rng(0)
    draws = [law.draw(rng) for _ in range(20_000)]
    assert np.median(draws) == pytest.approx(median, rel=0.03)
    assert np.mean(draws) == pytest.approx(mean, rel=0.03)


def test_always_zero():
    assert Distribution("constant", (0.0,)).always_zero
    assert Distribution("uniform", (0.0, 0.0)).always_zero
    assert not Distribution("uniform", (0.0, 1.0)).always_zero
