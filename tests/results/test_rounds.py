import pandas as pd
import pytest

from fsim.records import SERVER, Kind, Recorder
from fsim.results.rounds import client_rounds, last_clients, server_rounds
from tests.results.made import recorder


def tidy(made, run="r"):
    table = made.records()
    table.insert(0, "run", run)
    return table


def by_hand():
    """Client 5 waits 2 s, loads 1, works 3, sends 4; client 7 is lost, noticed after 30 s."""
    made = Recorder()
    made.record(Kind.DOWNLOAD, 0, 1, 7, 1, 10)
    made.record(Kind.WAIT, 0, 2, 5, 1)
    made.record(Kind.DOWNLOAD, 2, 1, 5, 1, 10)
    made.record(Kind.COMPUTE, 3, 3, 5, 1)
    made.record(Kind.UPLOAD, 6, 4, 5, 1, 5)
    made.record(Kind.RECEIVE, 10, 0, 5, 1, 5)
    made.record(Kind.LOST, 1, 30, 7, 1)
    made.record(Kind.ROUND, 0, 31, SERVER, 1)
    return made


def test_what_a_radio_draws_is_no_part_of_a_round():
    made = Recorder()
    made.record(Kind.DOWNLOAD, 0, 1, 5, 1, 10)
    made.record(Kind.RECEIVE, 4, 0, 5, 1, 5)
    plain = client_rounds(tidy(made))
    # The tail of round 1 is told as round 2 begins.
    made.record(Kind.RADIO, 9, 0, 5, 1, energy=3.0)
    made.record(Kind.DOWNLOAD, 9, 1, 5, 2, 10)
    made.record(Kind.RECEIVE, 12, 0, 5, 2, 5)
    table = client_rounds(tidy(made))
    assert table.iloc[:1].equals(plain)
    assert table["round"].tolist() == [1, 2]
    assert table["began_s"].tolist() == [0, 9]


def test_parts_of_a_clients_round_worked_by_hand():
    table = client_rounds(tidy(by_hand())).set_index("client")
    five = table.loc[5]
    assert five[["wait_s", "download_s", "compute_s", "upload_s", "lost_s"]].tolist() == [
        2, 1, 3, 4, 0,
    ]  # fmt: skip
    assert (five["began_s"], five["ended_s"], five["duration_s"]) == (0, 10, 10)
    assert not five["lost"]
    seven = table.loc[7]
    assert (seven["download_s"], seven["lost_s"], seven["duration_s"]) == (1, 30, 31)
    assert seven["lost"]


def test_what_is_left_of_a_clients_round_is_that_the_server_was_down():
    made = Recorder()
    made.record(Kind.UPLOAD, 0, 4, 1, 1, 5)
    made.record(Kind.RECEIVE, 10, 0, 1, 1, 5)
    made.record(Kind.UPLOAD, 10, 1, 2, 1, 5)
    made.record(Kind.LOST, 13, 0, 2, 1, 5)
    rows = client_rounds(tidy(made))
    assert rows["server_down_s"].tolist() == [6, 2]
    assert rows["lost_s"].tolist() == [0, 0]
    assert rows["lost"].tolist() == [False, True]


def test_the_last_client_is_the_one_that_the_round_waited_for():
    last = last_clients(tidy(by_hand()))
    assert last["client"].tolist() == [7]
    assert last["round_s"].tolist() == [31]


def test_parts_add_up_and_the_last_clients_are_as_long_as_synchronous_rounds():
    table = tidy(recorder(rounds=9, clients=6, lost=(4, 2)))
    every, last = client_rounds(table), last_clients(table)
    parts = every[["wait_s", "download_s", "compute_s", "upload_s", "lost_s"]].sum(axis=1)
    assert parts.to_numpy() == pytest.approx(every["duration_s"].to_numpy())
    assert len(every) == 54
    assert last["round"].tolist() == list(range(1, 10))
    assert last["duration_s"].to_numpy() == pytest.approx(last["round_s"].to_numpy())
    assert last.loc[last["round"] == 4, "client"].tolist() == [2]
    assert server_rounds(table)["round"].tolist() == list(range(1, 10))


def test_a_client_asked_twice_in_a_round_has_two_rows():
    made = Recorder()
    for began in (0.0, 5.0):
        made.record(Kind.UPLOAD, began, 2, 1, 1, 5)
        made.record(Kind.RECEIVE, began + 2, 0, 1, 1, 5)
    # And a third time, when the run ends meanwhile.
    made.record(Kind.DOWNLOAD, 8, 1, 1, 1, 5)
    assert client_rounds(tidy(made))["began_s"].tolist() == [0, 5]


def test_runs_are_kept_apart():
    first, second = tidy(by_hand(), "z"), tidy(recorder(rounds=2), "a")
    table = last_clients(pd.concat([first, second], ignore_index=True))
    assert set(zip(table["run"], table["round"], strict=True)) == {("z", 1), ("a", 1), ("a", 2)}
    assert table.loc[table["run"] == "z", "client"].tolist() == [7]
