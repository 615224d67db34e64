"""Options of protocols: the ends of what is allowed, and what lies beyond."""

import math

import pytest

from fsim.server.protocols import make_protocol


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deadline", {"over_selection": 1, "quantile": 1, "window": 1, "minimum": 3}),
        ("buffered", {"buffer": 1, "max_staleness": 0}),
        ("buffered", {"buffer": 3}),
        ("asynchronous", {"mixing": 1, "max_staleness": 0}),
        ("tiered", {"tiers": 2}),
        ("tiered", {"tiers": 6}),
    ],
)
def test_ends_of_what_is_allowed_are_allowed(name, options):
    make_protocol(name, options).check(clients=6, clients_per_round=3)


def test_a_cohort_may_be_the_fleet():
    make_protocol("synchronous", {}).check(clients=3, clients_per_round=3)
    # 1.1 times 10 is 11.000000000000002 in binary.
    make_protocol("deadline", {"over_selection": 1.1}).check(clients=11, clients_per_round=10)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("deadline", {"over_selection": 0.99},
         "over_selection: found 0.99, allowed is 1 or more"),
        ("deadline", {"over_selection": math.inf},
         "over_selection: found inf, allowed is 1 or more"),
        ("deadline", {"after": "0 s"}, "after: found 0 s, allowed is more than 0 s"),
        ("deadline", {"quantile": 0}, "quantile: found 0.0, allowed is above 0 and at most 1"),
        ("deadline", {"quantile": 1.01}, "quantile: found 1.01, allowed is above 0 and at most 1"),
        ("deadline", {"window": 0}, "window, minimum: allowed is 1 or more"),
        ("deadline", {"minimum": 0}, "window, minimum: allowed is 1 or more"),
        ("buffered", {"buffer": 0}, "buffer: found 0, allowed is 1 or more"),
        ("buffered", {"max_staleness": -1}, "max_staleness: found -1, allowed is 0 or more"),
        ("asynchronous", {"mixing": 1.01}, "mixing: found 1.01, allowed is above 0 and at most 1"),
        ("tiered", {"tiers": 1}, "tiers: found 1, allowed is 2 or more"),
    ],
)  # fmt: skip
def test_what_lies_beyond_is_refused(name, options, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is checked below
        make_protocol(name, options)
    assert message in str(caught.value)
