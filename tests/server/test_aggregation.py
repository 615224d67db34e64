import numpy as np
import pytest

from fsim.server.aggregation import add, fedavg
from fsim.server.selection import uniform


def test_fedavg_weighs_by_examples_worked_by_hand():
    updates = [{"w": np.array([1.0, 0.0], "f4")}, {"w": np.array([4.0, 3.0], "f4")}]
    mean = fedavg(updates, [30, 10])
    assert mean["w"].tolist() == [1.75, 0.75]
    assert mean["w"].dtype == np.float32
    assert add({"w": np.array([1.0, 1.0], "f4")}, mean)["w"].tolist() == [2.75, 1.75]


def test_one_update_is_itself():
    update = {"w": np.random.default_rng(0).standard_normal(50).astype("f4")}
    assert np.array_equal(fedavg([update], [17])["w"], update["w"])


def test_nothing_to_average():
    with pytest.raises(ValueError, match="0 updates"):
        fedavg([], [])
    with pytest.raises(ValueError, match="1 updates with 2 weights"):
        fedavg([{"w": np.zeros(1, "f4")}], [1, 2])


def test_uniform_selection_takes_different_clients_each_equally_often():
    rng = np.random.default_rng(0)
    cohorts = [uniform(20, 5, rng) for _ in range(4000)]
    assert all(len(set(cohort)) == 5 and cohort == sorted(cohort) for cohort in cohorts)
    counts = np.bincount(np.concatenate(cohorts), minlength=20)
    assert counts.min() > 900
    assert counts.max() < 1100
