from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import ScenarioError
from fsim.data.partition import (
    dirichlet,
    iid,
    label_counts,
    natural,
    one_label,
    quantity,
    statistics,
)

LABELS = [f"label {i % 7}" for i in range(2000)]

PARTITIONERS = {
    "iid": lambda labels, clients, alpha, minimum, rng: iid(len(labels), clients, minimum, rng),
    "dirichlet": dirichlet,
    "quantity": lambda labels, clients, alpha, minimum, rng: quantity(
        len(labels), clients, alpha, minimum, rng
    ),
    "one_label": lambda labels, clients, alpha, minimum, rng: one_label(
        labels, clients, minimum, rng
    ),
}
"""Those that divide every example, called alike."""


@st.composite
def cases(draw):
    """Labels of uneven frequency, clients, alpha, and a minimum that can be met."""
    sizes = draw(st.lists(st.integers(1, 60), min_size=1, max_size=12))
    labels = draw(st.permutations([f"l{at}" for at, size in enumerate(sizes) for _ in range(size)]))
    clients = draw(st.integers(1, min(30, len(labels))))
    minimum = draw(st.integers(0, len(labels) // clients))
    return labels, clients, draw(st.floats(0.01, 100)), minimum


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", PARTITIONERS)
@given(cases(), st.integers(0, 1000))
def test_every_example_goes_to_one_client_and_everyone_has_the_minimum(kind, case, seed):
    labels, clients, alpha, minimum = case
    shards = PARTITIONERS[kind](labels, clients, alpha, minimum, generator(seed))
    assert len(shards) == clients
    assert sorted(np.concatenate(shards).tolist()) == list(range(len(labels)))
    assert min(len(shard) for shard in shards) >= minimum
    assert all(shard.tolist() == sorted(shard.tolist()) for shard in shards)
    again = PARTITIONERS[kind](labels, clients, alpha, minimum, generator(seed))
    assert [shard.tolist() for shard in again] == [shard.tolist() for shard in shards]


@pytest.mark.parametrize("kind", PARTITIONERS)
def test_another_seed_divides_otherwise(kind):
    first, second = (PARTITIONERS[kind](LABELS, 20, 1.0, 5, generator(seed)) for seed in (0, 1))
    assert [shard.tolist() for shard in first] != [shard.tolist() for shard in second]


@pytest.mark.parametrize("kind", PARTITIONERS)
def test_too_few_examples_for_everyone(kind):
    with pytest.raises(ScenarioError, match="2000 examples cannot give 300 clients 8 each"):
        PARTITIONERS[kind](LABELS, 300, 1.0, 8, generator())


def test_small_alpha_is_skewed_and_large_alpha_even():
    skewed, even = (dirichlet(LABELS, 20, alpha, 5, generator()) for alpha in (0.05, 1000))
    assert statistics(skewed, LABELS).commonest_share > 0.6
    assert statistics(even, LABELS).commonest_share < 0.2
    assert statistics(skewed, LABELS).distance > 0.5 > 0.1 > statistics(even, LABELS).distance


def test_iid_is_even_in_size_and_kind():
    shards = iid(2000, 30, 8, generator())
    assert {len(shard) for shard in shards} == {66, 67}
    assert statistics(shards, LABELS).commonest_share < 0.3


def test_quantity_skews_sizes_and_not_labels():
    shards = quantity(2000, 10, 0.5, 20, generator())
    found = statistics(shards, LABELS)
    assert found.smallest >= 20
    assert found.largest > 3 * found.median
    assert found.distance < 0.15
    even = statistics(quantity(2000, 10, 10_000, 20, generator()), LABELS)
    assert even.largest - even.smallest < 20


@given(st.integers(7, 60), st.integers(0, 1000))
def test_one_label_gives_each_client_one_and_shares_each_evenly(clients, seed):
    shards = one_label(LABELS, clients, 1, generator(seed))
    counts = label_counts(shards, LABELS)
    assert ((counts > 0).sum(axis=1) == 1).all()
    for label in counts:
        held = counts[label][counts[label] > 0]
        assert held.max() - held.min() <= 1
        assert len(held) in (clients // 7, clients // 7 + 1)


def test_one_label_deals_several_to_each_of_few_clients():
    # Frequencies 6 c, 5 a, 4 b, 3 e, 2 d: dealt in that order to two clients.
    labels = list("aaaaabbbbccccccddeee")
    counts = label_counts(one_label(labels, 2, 1, generator()), labels)
    assert counts.to_dict("list") == {
        "a": [0, 5],
        "b": [4, 0],
        "c": [6, 0],
        "d": [2, 0],
        "e": [0, 3],
    }


def test_one_label_tops_a_rare_label_up():
    labels = ["common"] * 30 + ["rare"]
    counts = label_counts(one_label(labels, 2, 4, generator()), labels)
    assert counts.to_numpy().tolist() == [[27, 0], [3, 1]]


@given(cases(), st.integers(0, 1000))
def test_natural_gives_each_client_a_label_of_its_own(case, seed):
    labels, clients, _, _ = case
    sizes = Counter(labels)
    clients = min(clients, len(sizes))
    shards, left_out = natural(labels, clients, 1, generator(seed))
    assert sorted(np.concatenate([*shards, left_out]).tolist()) == list(range(len(labels)))
    owners = [{labels[at] for at in shard} for shard in shards]
    assert all(len(owner) == 1 for owner in owners)
    assert len(set.union(*owners)) == clients
    smallest_kept = min(len(shard) for shard in shards)
    assert all(sizes[labels[at]] <= smallest_kept for at in left_out)
    assert not set.union(*owners) & {labels[at] for at in left_out}


def test_natural_refuses_what_it_cannot_do():
    with pytest.raises(ScenarioError, match="found 8 clients and 7 labels"):
        natural(LABELS, 8, 8, generator())
    with pytest.raises(ScenarioError, match=r"label 'b' has 2 examples, allowed are 3 or more"):
        natural(list("aaabb"), 2, 3, generator())
    shards, left_out = natural(list("abaab"), 1, 3, generator())
    assert [shard.tolist() for shard in shards] == [[0, 2, 3]]
    assert left_out.tolist() == [1, 4]


def test_statistics_worked_by_hand():
    labels = list("aaabbc")
    shards = [np.array([0, 1, 2]), np.array([3, 5]), np.array([4])]
    found = statistics(shards, labels)
    assert (found.smallest, found.median, found.largest) == (1, 2, 3)
    assert found.commonest_share == pytest.approx((1 + 0.5 + 1) / 3)
    # Overall a 1/2, b 1/3, c 1/6. Client 0: (1/2 + 1/3 + 1/6) / 2 = 1/2; client 1, half b and half
    # c: (1/2 + 1/6 + 1/3) / 2 = 1/2; client 2, only b: (1/2 + 2/3 + 1/6) / 2 = 2/3.
    assert found.distance == pytest.approx((1 / 2 + 1 / 2 + 2 / 3) / 3)


def test_statistics_pass_over_empty_clients_and_examples_left_out():
    found = statistics([np.array([0, 1]), np.array([], dtype=np.int64)], list("abcc"))
    assert (found.smallest, found.median, found.largest) == (0, 1, 2)
    assert (found.commonest_share, found.distance) == (0.5, 0)


def test_label_counts():
    counts = label_counts([np.array([0, 2]), np.array([1])], ["b", "a", "b"])
    assert counts.index.name == "client"
    assert counts.to_dict("index") == {0: {"a": 0, "b": 2}, 1: {"a": 1, "b": 0}}


def test_a_large_fleet_of_mostly_poor_clients():
    shards = quantity(100_000, 2000, 0.05, 8, generator())
    assert len(shards) == 2000
    assert min(map(len, shards)) == 8
