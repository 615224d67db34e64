import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.registry import choose
from fsim.server.staleness import STALENESS, Constant, Hinge, Polynomial


def test_weights_worked_by_hand():
    assert Constant().weight(1000) == 1.0
    assert Polynomial().weight(3) == 0.5
    assert Polynomial(2).weight(1) == 0.25
    # FedAsync's experiments: a = 10, b = 4. One version beyond costs a factor of 11.
    assert [Hinge().weight(s) for s in (0, 4, 5, 6)] == [1.0, 1.0, 1 / 11, 1 / 21]


def test_rules_that_cost_nothing_or_at_once():
    assert Polynomial(0).weight(1000) == Hinge(slope=0).weight(1000) == 1.0
    assert Hinge(slope=1, free=0).weight(1) == 0.5


@pytest.mark.parametrize("kind", STALENESS)
@given(staleness=st.integers(0, 10**9))
def test_older_never_counts_more(kind, staleness):
    rule = STALENESS[kind]()
    assert 0 < rule.weight(staleness + 1) <= rule.weight(staleness) <= rule.weight(0) == 1


@pytest.mark.parametrize("kind", STALENESS)
def test_a_negative_staleness_is_refused(kind):
    with pytest.raises(ValueError, match="staleness: found -1, allowed is 0 or more"):
        STALENESS[kind]().weight(-1)


def test_chosen_by_name_with_options():
    assert choose("staleness", STALENESS, "hinge", {"slope": 1, "free": 2}) == Hinge(1, 2)
    with pytest.raises(ValueError, match=r"exponent: found -1\.0, allowed is 0 or more"):
        choose("staleness", STALENESS, "polynomial", {"exponent": -1})
    with pytest.raises(ValueError, match="free: found nan"):
        choose("staleness", STALENESS, "hinge", {"free": float("nan")})
    with pytest.raises(ValueError, match="slope: found inf, allowed is 0 or more"):
        choose("staleness", STALENESS, "hinge", {"slope": float("inf")})
