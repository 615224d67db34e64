from pathlib import Path

import numpy as np
import pytest

from fsim.network.formats import read_trace
from fsim.network.generators import UPLINKS, generate, write_csv

SHIPPED = Path(__file__).parents[2] / "traces"


@pytest.mark.parametrize("name", UPLINKS)
def test_generated_rates_have_the_published_statistics(name):
    statistics = UPLINKS[name]
    rates = generate(statistics, 1200, seed=3)
    assert rates.mean() == pytest.approx(statistics.mean, rel=0.01)
    for share, published in ((5, statistics.p5), (50, statistics.p50), (95, statistics.p95)):
        assert np.percentile(rates, share) == pytest.approx(published, rel=0.03)


@pytest.mark.parametrize("name", UPLINKS)
def test_shipped_trace_is_what_its_command_makes(name, tmp_path):
    path = tmp_path / "again.csv"
    write_csv(name, 1200, 0, path)
    assert path.read_text() == (SHIPPED / f"{name}.csv").read_text()
    starts, _, duration = read_trace(path)
    assert (len(starts), duration) == (1200, 1200.0)


def test_another_seed_is_another_trace():
    statistics = UPLINKS["lte-driving"]
    assert not np.array_equal(generate(statistics, 50, 0), generate(statistics, 50, 1))
