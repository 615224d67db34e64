"""Recordings of the field, where they are at hand; statistics as published and as counted apart."""

import numpy as np
import pytest

from fsim.network.formats import read_client_rates, read_trace
from fsim.network.formats.trace_statistics import binned, statistics
from tests.conftest import ROOT

TRACES = ROOT / ".." / "shared" / "data" / "traces"
pytestmark = pytest.mark.skipif(not TRACES.is_dir(), reason="the recorded traces are not here")

UPLINKS = {
    # Mean, p5, p50, p95 over 1 s, Mbit/s, of an independent count; half a unit of the last digit.
    "ATT-LTE-driving-2016": ((1.91, 0.005), (0.03, 0.005), (1.57, 0.005), (4.79, 0.005)),
    "ATT-LTE-driving": ((0.83, 0.005), (0, 0), (1.04, 0.005), (1.19, 0.005)),
    # An opportunity that falls on a bin's edge counts to one or the other: 12 kbit/s.
    "TMobile-UMTS-driving": ((0.94, 0.005), (0.07, 0.005), (1.08, 0.005), (1.44, 0.013)),
    "Verizon-EVDO-driving": ((0.84, 0.005), (0.07, 0.005), (0.96, 0.005), (1.26, 0.005)),
    "Verizon-LTE-short": ((5.95, 0.005), (1.2, 0.05), (5.7, 0.05), (11.4, 0.05)),
    "TMobile-LTE-short": ((13.3, 0.05), (2.5, 0.05), (11.5, 0.05), (27.5, 0.06)),
}


@pytest.mark.parametrize("name", UPLINKS)
@pytest.mark.parametrize("width", [1, 100])
def test_mahimahi_uplinks_have_their_statistics(name, width):
    found = statistics(read_trace(TRACES / "mahimahi" / f"{name}.up", bin=width))
    values = (found.mean_mbit_s, found.p5_mbit_s, found.p50_mbit_s, found.p95_mbit_s)
    for value, (expected, tolerance) in zip(values, UPLINKS[name], strict=True):
        assert value == pytest.approx(expected, abs=tolerance + 1e-9)


def test_the_known_outage_of_78_s():
    found = statistics(read_trace(TRACES / "mahimahi" / "ATT-LTE-driving.up"))
    assert found.longest_outage_s == pytest.approx(78, abs=0.5)


@pytest.mark.parametrize("path", sorted(TRACES.glob("cooked-*/*")), ids=lambda path: path.name)
def test_cooked_recordings(path):
    table = np.loadtxt(path, ndmin=2)
    times, rates = table[:, 0], table[:, 1] * 1e6 / 8
    left = read_trace(path, "cooked")
    assert left[2] == pytest.approx(2 * times[-1] - times[-2] - times[0])
    right = read_trace(path, "cooked", alignment="right", skip_first=True)
    # Pensieve's sum: bandwidth of sample i times the time since sample i - 1.
    carried = float((np.diff(times) * rates[1:]).sum())
    assert right[2] == pytest.approx(times[-1] - times[0])
    assert np.diff(np.append(right[0], right[2])) @ right[1] == pytest.approx(carried)


@pytest.mark.parametrize("path", sorted(TRACES.glob("ucc-5g/*.csv")), ids=lambda path: path.name)
def test_gnettrack_recordings(path):
    starts, rates, duration = read_trace(path)
    lines = [line.split(",") for line in path.read_text().splitlines()[1:]]
    stamps = [line[0] for line in lines]
    assert duration <= 600
    assert starts[0] == 0
    first = [float(line[12]) for line in lines if line[0] == stamps[0]]
    assert rates[0] == pytest.approx(np.mean(first) * 125)
    assert binned((starts, rates, duration), 1.0).sum() == pytest.approx(
        np.diff(np.append(starts, duration)) @ rates
    )


def test_flash_speeds():
    rates = read_client_rates(TRACES / "flash" / "speed_distri.json")
    first = rates["e6899215-86a1-4b87-b938-49bf4cd299be"]
    assert first.up == pytest.approx(4935.2 * 1024)
    assert first.down_sigma == pytest.approx(3369.2984195526524 * 1024)
