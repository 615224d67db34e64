import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import InferenceError
from fsim.inference.token_choice import Keep


def mask_of(keep, scores, padding=0):
    read = torch.ones(1, len(scores), dtype=torch.bool)
    read[:, :padding] = False
    return keep.mask(torch.tensor([scores], dtype=torch.float32), read)[0].tolist()


def test_a_ratio_is_rounded_up_and_takes_the_highest():
    kept = mask_of(Keep(ratio=0.5), [0.0, 5.0, 1.0, 4.0, 0.0])
    assert kept == [True, True, False, False, True]  # 3 of 5: both ends, and the highest


def test_a_tenth_of_thirty_is_three():
    assert sum(mask_of(Keep(ratio=0.1), [0.0] * 30)) == 3


def test_ties_go_to_the_earlier_token():
    assert mask_of(Keep(budget=3), [0.0] * 5) == [True, True, False, False, True]


def test_the_ends_are_counted_from_the_first_token_that_is_read():
    kept = mask_of(Keep(budget=4, first=1, last=2), [9, 9, 0, 1, 2, 0, 0], padding=2)
    assert kept == [False, False, True, False, True, True, True]


def test_a_threshold_worked_by_hand():
    # Of the free tokens, shares 0.1, 0.5, 0.3, 0.1.
    scores = [0.0, *(math.log(share) for share in (0.1, 0.5, 0.3, 0.1)), 0.0]
    assert mask_of(Keep(mass=0.45), scores) == [True, False, True, False, False, True]
    assert mask_of(Keep(mass=0.75), scores) == [True, False, True, True, False, True]
    assert mask_of(Keep(mass=1.0), scores) == [True] * 6


def test_rows_keep_their_own_share():
    read = torch.tensor([[True] * 8, [False] * 4 + [True] * 4])
    kept = Keep(ratio=0.5).mask(torch.zeros(2, 8), read)
    assert kept.sum(1).tolist() == [4, 2]


@given(
    st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=40),
    st.floats(0.01, 1.0),
    st.integers(0, 2),
    st.integers(1, 2),
)
def test_what_stays_is_above_what_goes(scores, mass, first, last):
    length = len(scores)
    if first + last > length:
        return
    for keep in (Keep(mass=mass, first=first, last=last), Keep(budget=4, first=first, last=last)):
        kept = mask_of(keep, scores)
        free = range(first, length - last)
        assert all(kept[at] for at in range(length) if at not in free)
        stay = [scores[at] for at in free if kept[at]]
        go = [scores[at] for at in free if not kept[at]]
        assert not stay or not go or min(stay) >= max(go)
        if keep.budget is not None:
            assert sum(kept) == min(4, length)


@given(st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=30), st.floats(0.05, 0.95))
def test_a_threshold_is_reached_and_not_passed_by_a_whole_token(scores, mass):
    kept = torch.tensor(mask_of(Keep(mass=mass), scores))[1:-1]
    shares = torch.tensor(scores, dtype=torch.float64)[1:-1].softmax(0)
    own = shares[kept]
    assert own.sum() >= mass - 1e-9
    assert own.sum() - own.min() < mass + 1e-9


@pytest.mark.parametrize("ratio", [0.0, -0.5, 1.01, math.nan])
def test_a_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(InferenceError, match=r"keep ratio: found .*, allowed is above 0 and up to"):
        Keep(ratio=ratio)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "keep: found no rule, allowed is one of"),
        ({"ratio": 0.5, "budget": 7}, "keep: found ratio and budget, allowed is one of"),
        ({"mass": 0.0}, "keep mass: found 0.0, allowed is above 0"),
        ({"budget": 1}, "keep budget: found 1, allowed is 2 or more"),
        ({"ratio": 0.5, "last": 0}, "found the first 1 and the last 0 tokens"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(fields, message):
    with pytest.raises(InferenceError, match=message):
        Keep(**fields)


@pytest.mark.parametrize(
    ("keep", "length", "message"),
    [
        (Keep(ratio=1.0, first=1, last=8), 5, "prompt: found 5 tokens, allowed are 9 or more"),
        (Keep(budget=9, first=1, last=8), 8, "prompt: found 8 tokens, allowed are 9 or more"),
        (Keep(ratio=0.1), 10, "keep ratio: found 0.1, which leaves 1 of 10 tokens"),
    ],
)
def test_a_prompt_shorter_than_what_must_be_kept_is_refused(keep, length, message):
    with pytest.raises(InferenceError, match=message):
        mask_of(keep, [0.0] * length)


def test_a_threshold_takes_one_prompt():
    with pytest.raises(InferenceError, match="found 2 prompts side by side, allowed is one"):
        Keep(mass=0.5).mask(torch.zeros(2, 4), torch.ones(2, 4, dtype=torch.bool))


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(InferenceError, match="not finite"):
        mask_of(Keep(budget=2), [0.0, math.nan, 0.0])
