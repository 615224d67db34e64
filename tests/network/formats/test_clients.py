"""FedScale's pickles and FLASH's JSON, written here by hand."""

import json
import pickle

import numpy as np
import pytest

from fsim.core.errors import TraceError
from fsim.network.formats import Intervals, read_availability, read_client_rates, read_trace

CAPACITY = {
    7: {"computation": 162.0, "communication": 8000.0},
    9: {"computation": 81, "communication": 16},
}
AVAILABILITY = {
    3: {"active": [10, 60, 70], "inactive": [50, 60, 100], "finish_time": 100, "duration": 70,
        "model": "CPH1801"},
}  # fmt: skip


def save(folder, value, name="file"):
    path = folder / name
    path.write_bytes(value)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_fedscale_capacity_in_every_protocol(tmp_path, protocol):
    path = save(tmp_path, pickle.dumps(CAPACITY, protocol))
    rates = read_client_rates(path)
    # kbit/s is 125 bytes/s; 162 ms a sample.
    assert list(rates) == ["7", "9"]
    assert (rates["7"].up, rates["7"].down, rates["7"].seconds_per_sample) == (1e6, 1e6, 0.162)
    assert rates["9"].up == 2000
    starts, capacity, duration = read_trace(path, "fedscale", client=9)
    assert (starts.tolist(), capacity.tolist(), duration) == ([0], [2000], 1)


def test_fedscale_client_has_to_be_named(tmp_path):
    path = save(tmp_path, pickle.dumps(CAPACITY))
    with pytest.raises(TraceError, match="found 2 clients; client= says which, for example '7'"):
        read_trace(path)
    with pytest.raises(TraceError, match="found no client '8', allowed are '7', '9'"):
        read_trace(path, client="8")
    one = save(tmp_path, pickle.dumps({7: CAPACITY[7]}), "one")
    assert read_trace(one)[1].tolist() == [1e6]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_fedscale_availability(tmp_path, protocol):
    found = read_availability(save(tmp_path, pickle.dumps(AVAILABILITY, protocol)))["3"]
    assert (found.starts.tolist(), found.ends.tolist()) == ([10, 70], [50, 100])
    assert found.period == 100
    assert found.share == 0.7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"active": [10]}, "found 1 times of becoming available and 3"),
        ({"active": [10, 40, 70]}, "overlap"),
        ({"inactive": [50, 60, 101]}, "outside the period"),
        ({"finish_time": 0}, "period of 0 s"),
        ({"active": "now"}, "active: found 'now', allowed is a list of seconds"),
        ({"active": [10, None, 70]}, "active: found None"),
        ({"active": [10, [], 70]}, "active: found a list"),
        ({"finish_time": float("nan")}, "finish_time: found nan"),
    ],
)
def test_availability_that_cannot_be_is_an_error_or_dropped(tmp_path, change, message):
    wrong = {**AVAILABILITY, 4: {**AVAILABILITY[3], **change}}
    path = save(tmp_path, pickle.dumps(wrong))
    with pytest.raises(TraceError) as caught:
        read_availability(path)
    assert message in str(caught.value)
    assert f"{path}: client 4" in str(caught.value)
    assert list(read_availability(path, "drop")) == ["3"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "found a list"),
        ({}, "an empty mapping"),
        ({1: 2}, "client 1: found 2, allowed is a dict of computation, communication"),
        ({1: {"computation": 1}}, "allowed is a dict of"),
        ({1: {"computation": 1, "communication": -1}}, "communication: found -1"),
        ({1: {"computation": 1, "communication": True}}, "communication: found True"),
        ({1: CAPACITY[7], "1": CAPACITY[7]}, "two clients of one name"),
        ({None: CAPACITY[7]}, "neither a text nor a number"),
        ({10**5000: CAPACITY[7]}, "a whole number of more than 64 bits"),
    ],
)
def test_what_is_not_fedscale_is_refused(tmp_path, value, message):
    with pytest.raises(TraceError) as caught:
        read_client_rates(save(tmp_path, pickle.dumps(value)))
    assert message in str(caught.value)


SPEED = {"a": {"down_u": 100, "down_sigma": 10, "up_u": 50, "up_sigma": 5}}


def test_flash_speed_is_in_kib(tmp_path):
    path = save(tmp_path, json.dumps(SPEED).encode(), "speed.json")
    rates = read_client_rates(path)["a"]
    assert (rates.up, rates.down) == (50 * 1024, 100 * 1024)
    assert (rates.up_sigma, rates.down_sigma) == (5 * 1024, 10 * 1024)
    assert rates.seconds_per_sample is None
    assert read_trace(path)[1].tolist() == [50 * 1024]
    assert read_trace(path, direction="down")[1].tolist() == [100 * 1024]


def state(*events):
    return json.dumps({"a": {"model": "X", "messages": "\n".join(events) + "\n"}}).encode()


def test_flash_state_worked_by_hand(tmp_path):
    path = save(tmp_path, state(
        "2020-01-31 23:59:50\tscreen_on",
        "2020-02-01 00:00:00\tbattery_charged_on",
        "2020-02-01 00:00:10\tscreen_off",
        "2020-02-01 00:00:20\tWIFI",         # off, charging, wifi: available from 30 s on
        "2020-02-01 00:00:25\t87%",
        "2020-02-01 00:00:30\tscreen_lock",
        "2020-02-01 00:00:40\tscreen_on",    # still locked
        "2020-02-01 00:00:50\t4G",           # no wifi: unavailable at 60 s
        "2020-02-01 00:01:00\twifi",         # available at 70 s
        "2020-02-01 00:01:05\tscreen_unlock",  # 75 s
        "2020-02-01 00:01:10\tscreen_off",   # 80 s, until the end
        "2020-02-01 00:01:30\t86.5%",
    ))  # fmt: skip
    found = read_availability(path)["a"]
    assert found.starts.tolist() == [30, 70, 80]
    assert found.ends.tolist() == [60, 75, 100]
    assert found.period == 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (state("2020-01-01 00:00:00\twifi"), "no two events at different times"),
        (state("2020-01-01 00:00:00\tphone_off", "2020-01-01 00:00:01\twifi"), "phone_off"),
        (state("2020-01-01T00:00:00\twifi"), "allowed are YYYY-mm-dd HH:MM:SS"),
        (state("2020-13-01 00:00:00\twifi"), "allowed are YYYY-mm-dd HH:MM:SS"),
        (state("2020-01-01 00:00:01\twifi", "2020-01-01 00:00:00\twifi"), "after a later time"),
        (b'{"a": {"messages": 3}}', "found 3, allowed is an object with messages"),
        (b'{"a": 3}', "found None, allowed is an object with messages"),
    ],
)
def test_flash_state_that_cannot_be_is_refused(tmp_path, content, message):
    path = save(tmp_path, content)
    with pytest.raises(TraceError) as caught:
        read_availability(path)
    assert message in str(caught.value)
    with pytest.raises(TraceError, match="found no client with usable availability"):
        read_availability(path, "drop")


def test_intervals_check_themselves():
    with pytest.raises(ValueError, match="ends where it begins"):
        Intervals(np.array([1.0]), np.array([1.0]), 2.0)
    assert Intervals(np.zeros(0), np.zeros(0), 5.0).share == 0
