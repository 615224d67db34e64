import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.errors import ScenarioError
from fsim.learning.partition import dirichlet, iid

LABELS = [f"label {i % 7}" for i in range(2000)]


def skew(shards):
    """Mean share of a client's commonest label."""
    names = np.array(LABELS)
    return np.mean(
        [np.unique(names[shard], return_counts=True)[1].max() / len(shard) for shard in shards]
    )


@given(st.integers(1, 40), st.floats(0.01, 100), st.integers(0, 1000))
def test_every_example_goes_to_one_client_and_everyone_has_the_minimum(clients, alpha, seed):
    shards = dirichlet(LABELS, clients, alpha, 5, np.random.default_rng(seed))
    assert sorted(np.concatenate(shards).tolist()) == list(range(2000))
    assert min(len(shard) for shard in shards) >= 5


def test_small_alpha_is_skewed_and_large_alpha_even():
    rng = np.random.default_rng(0)
    assert skew(dirichlet(LABELS, 20, 0.05, 5, rng)) > 0.6
    assert skew(dirichlet(LABELS, 20, 1000, 5, rng)) < 0.2


def test_iid_is_even_in_size_and_kind():
    shards = iid(2000, 30, np.random.default_rng(0))
    assert sorted(np.concatenate(shards).tolist()) == list(range(2000))
    assert {len(shard) for shard in shards} == {66, 67}
    assert skew(shards) < 0.3


def test_too_few_examples_for_everyone():
    with pytest.raises(ScenarioError, match="2000 examples cannot give 300 clients 8 each"):
        dirichlet(LABELS, 300, 1.0, 8, np.random.default_rng(0))
