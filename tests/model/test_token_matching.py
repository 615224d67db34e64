"""Bipartite soft matching against loops, and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.model.token_matching import bipartite_soft_matching
from tests.model.naive_merging import naive_matching, naive_merge


@st.composite
def batches(draw):
    """Keys, values, sizes, mergeable tokens and numbers of merges of a few rows."""
    rows, tokens = draw(st.integers(1, 4)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    keys = rng.normal(size=(rows, tokens, draw(st.sampled_from([1, 3, 8])))).astype("f4")
    if draw(st.booleans()):  # directions that come again and again: ties
        keys = np.eye(4, dtype="f4")[rng.integers(0, 4, (rows, tokens))]
    mergeable = rng.random((rows, tokens)) < draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    merges = np.array([rng.integers(0, row.sum() // 2 + 1) for row in mergeable])
    values = rng.normal(size=(rows, tokens, 5)).astype("f4")
    sizes = rng.integers(1, 5, (rows, tokens)).astype("f4")
    return keys, mergeable, merges, values, sizes


def distinct_enough(keys):
    """Keys one of which is not like two others to within rounding, unless the very same."""
    unit = keys.astype(float) / np.maximum(np.linalg.norm(keys, axis=1, keepdims=True), 1e-12)
    likeness = np.sort((unit @ unit.T).ravel())
    gaps = np.diff(likeness)
    return not np.any((gaps > 1e-12) & (gaps < 1e-6))


@settings(max_examples=150, deadline=None)
@given(batches())
def test_it_is_what_loops_give(batch):
    keys, mergeable, merges, values, sizes = batch
    tokens = keys.shape[1]
    length = tokens - int(merges.min())
    matching = bipartite_soft_matching(
        torch.from_numpy(keys), torch.from_numpy(mergeable), torch.from_numpy(merges), length
    )
    merged, grown = matching.merge(torch.from_numpy(values), torch.from_numpy(sizes))
    assert merged.shape == (*grown.shape, 5) == (len(keys), length, 5)
    for row in range(len(keys)):
        left = tokens - merges[row]
        members = np.flatnonzero(mergeable[row])
        # Whatever the pairs are: so many tokens are left, each where its last member was.
        assert matching.positions[row, :left].tolist() == sorted(
            {int(np.flatnonzero(matching.places[row] == place)[-1]) for place in range(left)}
        )
        assert float(grown[row, :left].sum()) == sizes[row].sum()
        if keys.shape[2] == 1 or not distinct_enough(keys[row][mergeable[row]]):
            continue
        groups = naive_matching(keys[row], members.tolist(), int(merges[row]))
        means, sums = naive_merge(values[row], sizes[row], groups)
        assert matching.positions[row, :left].tolist() == [max(group) for group in groups]
        assert grown[row, :left].tolist() == sums.tolist()
        np.testing.assert_allclose(merged[row, :left], means, rtol=1e-5, atol=1e-6)


def match(keys, mergeable, merges, length):
    return bipartite_soft_matching(
        torch.tensor([keys]), torch.tensor([mergeable]), torch.tensor([merges]), length
    )


def test_by_hand():
    # First set 1, 3, 5; second 2, 4. 1 is like 4, 5 like 2, and 3, between the two, hardly either.
    keys = [[9.0, 9.0], [1.0, 0.1], [0.0, 2.0], [1.0, 1.1], [5.0, 0.0], [0.1, 1.0], [7.0, 7.0]]
    mergeable = [False, True, True, True, True, True, False]
    matching = match(keys, mergeable, 2, 5)
    # 1 and 4 sit at 4; 2 and 5 sit at 5, which neither 3 nor 4 may look at.
    assert matching.positions.tolist() == [[0, 3, 4, 5, 6]]
    assert matching.places.tolist() == [[0, 2, 3, 1, 2, 3, 4]]
    values = torch.arange(7.0).view(1, 7, 1)
    merged, sizes = matching.merge(values, torch.tensor([[1.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0]]))
    assert merged.flatten().tolist() == [0, 3, 1.75, 3.5, 6]
    assert sizes.tolist() == [[1, 1, 4, 2, 1]]


def test_several_may_go_to_one_and_ties_go_to_the_first():
    keys = [[1.0, 0.0]] * 6
    matching = match(keys, [True] * 6, 2, 4)
    # All are alike: 0 and 2, the first of the first set, go to 1, the first of the second.
    assert matching.positions.tolist() == [[2, 3, 4, 5]]
    assert matching.places.tolist() == [[0, 0, 0, 1, 2, 3]]


def test_no_merges_change_nothing():
    keys = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    matching = bipartite_soft_matching(
        keys, torch.ones(2, 5, dtype=torch.bool), torch.tensor([0, 0]), 5
    )
    merged, sizes = matching.merge(keys, torch.ones(2, 5))
    assert torch.equal(merged, keys)
    assert torch.equal(sizes, torch.ones(2, 5))
    assert matching.positions.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_gradients_are_shared_by_size():
    values = torch.zeros(1, 3, 1, requires_grad=True)
    matching = match([[1.0], [1.0], [1.0]], [True, True, False], 1, 2)
    merged, _ = matching.merge(values, torch.tensor([[1.0, 3.0, 1.0]]))
    merged.sum().backward()
    assert values.grad.flatten().tolist() == [0.25, 0.75, 1.0]


@pytest.mark.parametrize("width", [3, 12, 32])
def test_a_row_matches_alike_wherever_it_is_in_a_batch(width):
    rng = torch.Generator().manual_seed(0)
    keys = torch.randn(7, 23, width, generator=rng)
    mergeable, merges = torch.ones(7, 23, dtype=torch.bool), torch.full((7,), 11)
    values = torch.randn(7, 23, 19, generator=rng)
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    one = bipartite_soft_matching(keys, mergeable, merges, 12)
    other = bipartite_soft_matching(keys[order], mergeable, merges, 12)
    assert torch.equal(one.places[order], other.places)
    sizes = torch.ones(7, 23)
    assert torch.equal(one.merge(values, sizes)[0][order], other.merge(values[order], sizes)[0])
