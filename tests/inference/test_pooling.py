import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import InferenceError
from fsim.inference.pooling import Pooled, pooled
from fsim.inference.pruning import View
from fsim.inference.token_choice import Keep


class FixedScorer:
    """A scorer of scores that are known."""

    def __init__(self, scores):
        self.scores = scores

    def watching(self, layer):
        return ("watched", layer)

    def score(self, view):
        return self.scores


def view_of(read):
    return View(torch.zeros_like(read, dtype=torch.long), read, torch.zeros(*read.shape, 2))


def test_means_over_three_worked_out():
    values = torch.tensor([[3.0, 0.0, 6.0, 9.0]])
    read = torch.ones(1, 4, dtype=torch.bool)
    assert pooled(values, read, 3).tolist() == [[1.5, 3.0, 5.0, 7.5]]


@given(st.integers(1, 12), st.integers(0, 5), st.integers(0, 9), st.integers(0, 2**31))
def test_means_by_a_loop_over_what_is_read(length, half, padding, seed):
    drawn = torch.rand(length, generator=torch.Generator().manual_seed(seed))
    values = torch.cat([torch.full((padding,), 77.0), drawn])[None]
    read = torch.cat([torch.zeros(padding), torch.ones(length)]).bool()[None]
    found = pooled(values, read, 2 * half + 1)[0]
    assert not found[:padding].any()
    expected = [drawn[max(0, at - half) : at + half + 1].mean() for at in range(length)]
    torch.testing.assert_close(found[padding:], torch.stack(expected))


def test_a_neighbourhood_stays_together():
    """One token that stands out among five of some worth, and one that stands alone."""
    scores = torch.tensor([[0.0, 0.0, 4.0, 3.0, 4.0, 0.0, 0.0, 3.5, 0.0, 0.0]])
    view = view_of(torch.ones(1, 10, dtype=torch.bool))
    keep = Keep(budget=4, first=0, last=1)
    alone = keep.mask(Pooled(FixedScorer(scores), 1).score(view), view.read)[0]
    assert alone.nonzero()[:, 0].tolist() == [2, 4, 7, 9]
    together = keep.mask(Pooled(FixedScorer(scores), 3).score(view), view.read)[0]
    assert together.nonzero()[:, 0].tolist() == [2, 3, 4, 9]


def test_a_window_of_one_keeps_scores_up_to_a_constant():
    scores = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))
    found = Pooled(FixedScorer(scores), 1).score(view_of(torch.ones(2, 9, dtype=torch.bool)))
    torch.testing.assert_close(found, scores.log_softmax(dim=1))


def test_padding_has_no_part():
    scores = torch.tensor([[50.0, 50.0, 1.0, 2.0, 3.0]])
    read = torch.tensor([[False, False, True, True, True]])
    found = Pooled(FixedScorer(scores), 3).score(view_of(read))
    bare = Pooled(FixedScorer(scores[:, 2:]), 3).score(view_of(read[:, 2:]))
    torch.testing.assert_close(found[:, 2:], bare)


def test_layers_are_watched_as_the_scorer_asks():
    layer = torch.nn.Linear(2, 2)
    assert Pooled(FixedScorer(None), 3).watching(layer) == ("watched", layer)


@pytest.mark.parametrize("window", [0, -3, 2, 30])
def test_a_window_without_a_middle(window):
    with pytest.raises(InferenceError, match=f"window: found {window} tokens"):
        Pooled(FixedScorer(None), window)
