"""The protocols' benchmark runs, and tells what it should. How fast anything is is not tested."""

import json

import pytest

from benchmarks import protocols


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS)
def test_fleets_are_measured_and_told_apart(monkeypatch, protocol):
    monkeypatch.setattr(protocols, "WARM_UP", 1)
    rows = protocols.measure([150, 400], [protocol], 30, 1)
    assert [row["clients"] for row in rows] == [150, 400]
    for row in rows:
        # The first client is drawn with the fleet, asked or not.
        assert 0 < row["met"] <= row["selected"] + 1
        assert row["first_us"]["median"] > 0
        assert row["peak_mib"] > 0
    assert rows[0]["ratio"] == {"min": 1.0, "median": 1.0, "max": 1.0}
    assert rows[0]["met"] < rows[1]["met"]
    json.dumps(rows)
