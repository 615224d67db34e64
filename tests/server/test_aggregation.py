import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fsim.core.registry import choose
from fsim.server.aggregation import (
    AGGREGATIONS,
    TrimmedMean,
    WeightedMean,
    add,
    fedasync,
    fedavg,
    fedbuff,
    trimmed_mean,
)


def update(*values):
    return {"w": np.array(values, "f4")}


def bits(update):
    return {name: array.tobytes() for name, array in update.items()}


values = st.floats(-1e3, 1e3, width=32)


@st.composite
def rounds(draw, least=1):
    count = draw(st.integers(least, 9))
    arrays = draw(hnp.arrays(np.float32, (count, 4), elements=values))
    weights = draw(st.lists(st.integers(1, 500), min_size=count, max_size=count))
    return [{"a": row[:3].reshape(3, 1), "b": row[3:]} for row in arrays], weights


def test_fedavg_weighs_by_examples_worked_by_hand():
    updates = [update(1.0, 0.0), update(4.0, 3.0)]
    mean = fedavg(updates, [30, 10])
    assert mean["w"].tolist() == [1.75, 0.75]
    assert mean["w"].dtype == np.float32
    assert add(update(1.0, 1.0), mean)["w"].tolist() == [2.75, 1.75]


def test_a_client_that_is_missing_counts_as_zeros_with_the_selected_as_denominator():
    # 30 * 1 + 10 * 4 = 70 over the 80 examples of the three that were selected.
    assert fedavg([update(1.0), update(4.0)], [30, 10], 80)["w"].tolist() == [0.875]


def test_equal_weights():
    assert fedavg([update(1.0), update(4.0)])["w"].tolist() == [2.5]


def test_one_update_is_itself():
    one = {"w": np.random.default_rng(0).standard_normal(50).astype("f4")}
    assert np.array_equal(fedavg([one], [17])["w"], one["w"])


def test_nothing_to_average():
    with pytest.raises(ValueError, match="0 updates"):
        fedavg([], [])
    with pytest.raises(ValueError, match="1 updates with 2 weights"):
        fedavg([update(0.0)], [1, 2])
    with pytest.raises(ValueError, match="0 updates"):
        trimmed_mean([], 0.1)


@pytest.mark.parametrize("weights", [[0, 0], [1, -0.5], [np.nan, 1], [np.inf, 1]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValueError, match="weights: allowed are finite numbers of 0 or more"):
        fedavg([update(1.0), update(2.0)], weights)


@pytest.mark.parametrize("denominator", [9, 0, -10, np.inf, np.nan])
def test_a_denominator_below_what_was_received_is_refused(denominator):
    with pytest.raises(ValueError, match=r"denominator: found .* allowed is the weight received"):
        fedavg([update(1.0)], [10], denominator)


def test_updates_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match="same tensors"):
        fedavg([update(1.0, 2.0), update(1.0)], [1, 1])
    with pytest.raises(ValueError, match="same tensors"):
        trimmed_mean([update(1.0), {"v": np.zeros(1, "f4")}], 0)


@given(rounds(), st.randoms(use_true_random=False))
def test_the_order_of_updates_matters_to_rounding_only(case, random):
    updates, weights = case
    order = list(range(len(updates)))
    random.shuffle(order)
    shuffled = [updates[place] for place in order]
    mean = fedavg(updates, weights)
    other = fedavg(shuffled, [weights[place] for place in order])
    trimmed, trimmed_other = trimmed_mean(updates, 0.2), trimmed_mean(shuffled, 0.2)
    for name in mean:
        # Sums in float64 differ by far less than a float32 of this size resolves.
        np.testing.assert_allclose(mean[name], other[name], rtol=1e-6, atol=1e-9)
        # Sorted before it is summed: the same to the bit.
        assert np.array_equal(trimmed[name], trimmed_other[name])


@given(rounds())
def test_a_mean_lies_between_the_least_and_the_most(case):
    updates, weights = case
    for name, mean in fedavg(updates, weights).items():
        column = np.stack([one[name] for one in updates])
        slack = 1e-6 * np.abs(column).max()
        assert np.all(mean >= column.min(axis=0) - slack)
        assert np.all(mean <= column.max(axis=0) + slack)


def test_trimmed_mean_worked_by_hand():
    updates = [update(value) for value in (1.0, 2.0, 3.0, 4.0, 1000.0)]
    assert trimmed_mean(updates, 0.2)["w"].tolist() == [3.0]
    assert trimmed_mean(updates, 0.19)["w"].tolist() == [202.0]
    # The least and the most are told for each coordinate alone.
    crossed = [update(0.0, 9.0), update(5.0, 5.0), update(9.0, 0.0)]
    assert trimmed_mean(crossed, 0.34)["w"].tolist() == [5.0, 5.0]


def test_a_share_that_binary_rounds_down_still_cuts_as_written():
    # 0.29 * 100 is 28.999999999999996; cut 29 at each end and the squares of 29 to 70 are left:
    # (70 * 71 * 141 - 28 * 29 * 57) / 6 = 109081 over 42.
    updates = [update(float(value**2)) for value in range(100)]
    assert trimmed_mean(updates, 0.29)["w"].item() == pytest.approx(109081 / 42, rel=1e-6)


@given(rounds(), st.floats(0, 0.49))
def test_trimmed_mean_against_removing_one_at_a_time(case, share):
    updates, _ = case
    mean = trimmed_mean(updates, share)
    cut = int(np.floor(share * len(updates) + 1e-9))
    for name, array in mean.items():
        for place in np.ndindex(array.shape):
            left = [float(one[name][place]) for one in updates]
            for _ in range(cut):
                left.remove(min(left))
                left.remove(max(left))
            assert array[place] == pytest.approx(sum(left) / len(left), rel=1e-6, abs=1e-9)


def test_fedbuff_divides_by_the_buffer_worked_by_hand():
    # Stale by 0 and by 3 versions: (1 * 2 + 0.5 * 4) / 2, not over 1.5.
    assert fedbuff([update(2.0), update(4.0)], [1, 1], [1.0, 0.5])["w"].tolist() == [2.0]
    # The data-size weighted form: (30 * 1 + 10 * 0.5 * 4) / 40.
    assert fedbuff([update(1.0), update(4.0)], [30, 10], [1.0, 0.5])["w"].tolist() == [1.25]


@given(rounds())
def test_a_buffer_in_which_nothing_is_stale_is_fedavg_to_the_bit(case):
    updates, weights = case
    fresh = [1.0] * len(updates)
    assert bits(fedbuff(updates, weights, fresh)) == bits(fedavg(updates, weights))


def test_fedbuff_refuses_what_is_no_scale():
    with pytest.raises(ValueError, match="scales: allowed are 0 to 1"):
        fedbuff([update(1.0)], [1], [1.5])
    with pytest.raises(ValueError, match="1 updates with 1 weights and 2 scales"):
        fedbuff([update(1.0)], [1], [1, 1])


def test_fedasync_worked_by_hand():
    # The client began at 1 and went to 3 while the global adapter went to 2: 0.5 * 2 + 0.5 * 3.
    step = fedasync(update(2.0), update(1.0), update(2.0), 0.5)
    assert add(update(2.0), step)["w"].tolist() == [2.5]


@given(hnp.arrays(np.float32, (3, 5), elements=values), st.floats(0, 1))
def test_fedasync_is_the_mix_of_two_adapters(arrays, mixing):
    current, base, delta = ({"w": row} for row in arrays)
    mixed = add(current, fedasync(current, base, delta, mixing))["w"]
    client = arrays[1].astype("f8") + arrays[2]
    np.testing.assert_allclose(mixed, (1 - mixing) * arrays[0] + mixing * client, atol=1e-3)


def test_fedasync_without_staleness_is_a_share_of_the_delta_to_the_bit():
    rng = np.random.default_rng(3)
    current, delta = ({"w": rng.standard_normal(20).astype("f4")} for _ in range(2))
    assert bits(fedasync(current, current, delta, 1.0)) == bits(delta)
    with pytest.raises(ValueError, match=r"mixing: found 1\.1"):
        fedasync(current, current, delta, 1.1)


@given(rounds())
def test_the_default_aggregation_is_fedavg_to_the_bit(case):
    updates, weights = case
    selected = [*weights, 40]
    expected = bits(fedavg(updates, weights))
    assert bits(WeightedMean().combine(updates, weights)) == expected
    assert bits(WeightedMean().combine(updates, weights, selected=selected)) == expected
    assert bits(WeightedMean().combine(updates, weights, scales=[1.0] * len(updates))) == expected


def test_aggregations_with_options_worked_by_hand():
    updates, examples = [update(1.0), update(4.0)], [30, 10]
    selected = WeightedMean(denominator="selected")
    assert selected.combine(updates, examples, selected=[30, 10, 40])["w"].tolist() == [0.875]
    assert selected.combine(updates, examples)["w"].tolist() == [1.75]
    equal = WeightedMean("equal", "selected")
    # (1 + 4) / 4 clients; stale by 0.5: (1 + 2) / 4.
    assert equal.combine(updates, examples, selected=[30, 10, 40, 1])["w"].tolist() == [1.25]
    stale = equal.combine(updates, examples, selected=[30, 10, 40, 1], scales=[1, 0.5])
    assert stale["w"].tolist() == [0.75]
    trimmed = TrimmedMean(0.34)
    three = [update(value) for value in (8.0, 2.0, 100.0)]
    assert trimmed.combine(three, [1, 50, 1], scales=[0.5, 1, 1])["w"].tolist() == [4.0]


def test_aggregations_are_chosen_by_name():
    assert choose("aggregation", AGGREGATIONS, "trimmed-mean", {"share": 0.2}) == TrimmedMean(0.2)
    with pytest.raises(ValueError, match=r"share: found 0\.5, allowed are 0 to less than 0\.5"):
        choose("aggregation", AGGREGATIONS, "trimmed-mean", {"share": 0.5})
    with pytest.raises(ValueError, match="unknown key, allowed are weights, denominator"):
        choose("aggregation", AGGREGATIONS, "fedavg", {"weigths": "equal"})


def test_the_mean_of_a_and_b_is_not_the_mean_of_their_products():
    # Two clients of rank 1 on a 1x1 weight: B A is 1 for one and 9 for the other.
    adapters = [
        {"A": np.ones((1, 1), "f4"), "B": np.ones((1, 1), "f4")},
        {"A": np.full((1, 1), 3, "f4"), "B": np.full((1, 1), 3, "f4")},
    ]
    mean = fedavg(adapters)
    products = [one["B"] @ one["A"] for one in adapters]
    assert np.mean(products) == 5
    assert (mean["B"] @ mean["A"]).item() == 4
    # FFA: with A the same everywhere the two agree.
    frozen = [{"A": np.ones((1, 1), "f4"), "B": one["B"]} for one in adapters]
    mean = fedavg(frozen)
    assert (mean["B"] @ mean["A"]).item() == 2 == np.mean([one["B"] @ one["A"] for one in frozen])
