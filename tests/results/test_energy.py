import pandas as pd
import pytest

from fsim.records import SERVER, Kind, Recorder
from fsim.results.energy import battery_drain, energy_by_round


def records():
    recorder = Recorder()
    # Round 1: client 4 spends 30 J in two rows, client 2 10 J. Round 2: client 2 60 J alone.
    recorder.record(Kind.COMPUTE, 0, 1, 4, 1, energy=10.0)
    recorder.record(Kind.UPLOAD, 1, 1, 4, 1, size=5, energy=20.0)
    recorder.record(Kind.COMPUTE, 0, 1, 2, 1, energy=10.0)
    recorder.record(Kind.ROUND, 0, 2, SERVER, 1)
    recorder.record(Kind.COMPUTE, 2, 1, 2, 2, energy=60.0)
    recorder.record(Kind.ROUND, 2, 2, SERVER, 2)
    return recorder.records()


def test_energy_by_round_worked_by_hand():
    table = energy_by_round(records())
    assert table.index.tolist() == [1, 2]
    assert table.index.name == "round"
    assert table["clients"].tolist() == [2, 1]
    assert table["total_j"].tolist() == [40, 60]
    assert table["mean_j"].tolist() == [20, 60]
    assert table["max_j"].tolist() == [30, 60]
    assert table["max_client"].tolist() == [4, 2]


def test_joules_of_radios_are_a_part_of_a_rounds():
    recorder = Recorder()
    recorder.record(Kind.UPLOAD, 0, 1, 4, 1, energy=1.0)
    recorder.record(Kind.RADIO, 1, 0, 4, 1, energy=0.5, details={"part": "promotion"})
    recorder.record(Kind.UPLOAD, 5, 1, 4, 2, energy=1.0)
    # The tail of round 1, billed when round 2 is under way.
    recorder.record(Kind.RADIO, 6, 0, 4, 1, energy=12.0, details={"part": "tail"})
    recorder.record(Kind.COMPUTE, 6, 1, 2, 3, energy=7.0)
    table = energy_by_round(recorder.records())
    assert table["radio_j"].tolist() == [12.5, 0, 0]
    assert table["total_j"].tolist() == [13.5, 1, 7]
    assert energy_by_round(records())["radio_j"].tolist() == [0, 0]


def test_of_several_with_the_maximum_the_lowest_number():
    recorder = Recorder()
    for client in (7, 3):
        recorder.record(Kind.COMPUTE, 0, 1, client, 1, energy=1.0)
    assert energy_by_round(recorder.records())["max_client"].tolist() == [3]


def test_a_client_that_spent_nothing_had_a_part_all_the_same():
    recorder = Recorder()
    recorder.record(Kind.WAIT, 0, 1, 0, 1)
    recorder.record(Kind.COMPUTE, 0, 1, 1, 1, energy=4.0)
    assert energy_by_round(recorder.records())["mean_j"].tolist() == [2]


def test_battery_drain_worked_by_hand():
    # Client 2: 10 of 200 J, then 70; client 4: 30 of 60 J; client 9 took no part.
    table = battery_drain(records(), {2: 200.0, 4: 60.0, 9: 1.0})
    assert table.columns.tolist() == [2, 4, 9]
    assert table.index.tolist() == [1, 2]
    assert table[2].tolist() == pytest.approx([5, 35])
    assert table[4].tolist() == pytest.approx([50, 50])
    assert table[9].tolist() == [0, 0]


def test_clients_on_the_mains_are_left_out():
    assert battery_drain(records(), {4: 60.0}).columns.tolist() == [4]
    assert battery_drain(records(), {}).shape == (2, 0)


def test_a_run_without_rows():
    nothing = Recorder().records()
    assert energy_by_round(nothing).empty
    assert battery_drain(nothing, {1: 5.0}).empty
    assert isinstance(energy_by_round(nothing), pd.DataFrame)


def test_a_battery_without_capacity():
    with pytest.raises(ValueError, match="client 2: found a battery of 0 J"):
        battery_drain(records(), {2: 0.0})
