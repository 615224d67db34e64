import pytest

from fsim.core.distributions import Distribution
from fsim.core.errors import ScenarioError
from fsim.fleet import DEVICES, Device, Link, Nights, OnOff, Traced, batteries, draw_population
from fsim.fleet.population import (
    LinkLaw,
    always_on,
    diurnal,
    dropout,
    renewal,
    traced,
)
from fsim.network import Capacity
from fsim.settings.fleet import OnOffSettings

FIVE = Distribution("constant", (5.0,))


def law(trace=None, rate=FIVE):
    return LinkLaw(trace, rate, FIVE)


def draw(clients=200, devices=None, seed=0, uplink=None, **more):
    devices = devices or {"laptop": 1.0}
    return draw_population(seed, clients, devices, uplink or law(), law(), always_on(), **more)


def test_devices_come_in_their_shares():
    population = draw(2000, {"laptop": 3, "phone-mid": 1})
    share = sum(profile.device.name == "laptop" for profile in population) / 2000
    assert share == pytest.approx(0.75, abs=0.03)


def test_a_client_is_drawn_alike_in_fleets_of_any_size():
    few, many = draw(3), draw(300)
    assert [p.device for p in few] == [p.device for p in many[:3]]
    rates = Distribution("lognormal", (1e6, 0.8))
    few, many = draw(3, uplink=law(rate=rates)), draw(300, uplink=law(rate=rates))
    assert [p.uplink.capacity.mean for p in few] == [p.uplink.capacity.mean for p in many[:3]]
    assert len({p.uplink.capacity.mean for p in many}) == 300


def test_a_trace_is_scaled_and_entered_at_random():
    trace = Capacity([0, 1], [1.0, 3.0], duration=2)
    population = draw(50, uplink=law(trace))
    assert {p.uplink.capacity.mean for p in population} == {5.0}
    assert len({p.uplink.capacity.offset for p in population}) == 50


def test_a_trace_of_its_own_mean_from_its_beginning():
    trace = Capacity([0, 1], [1.0, 3.0], duration=2)
    population = draw(5, uplink=LinkLaw(trace, None, FIVE, random_offset=False))
    assert all(p.uplink.capacity is trace for p in population)


def test_neither_rate_nor_trace():
    with pytest.raises(ScenarioError, match="needs a rate or a trace"):
        draw(uplink=law(rate=None))


def test_the_mean_rate_of_a_link_is_none_of_no_time_and_where_its_trace_tells_nothing():
    two = Capacity([0.0, 1.0], [300.0, 100.0], 2.0, "error")
    link = Link(two, 0.1)
    assert link.mean_rate(0.0, 2.0) == pytest.approx(200)
    assert link.mean_rate(0.5, 1.0) == pytest.approx(300)
    assert link.mean_rate(1.0, 1.0) is None
    assert link.mean_rate(1.0, 2.5) is None


def test_all_clients_have_the_radio_that_is_named():
    for radio in ("lte", "none"):
        assert {client.radio.name for client in draw(clients=3, radio=radio)} == {radio}
    assert {client.radio.name for client in draw(clients=3)} == {"none"}


def test_compute_seconds():
    device = Device("test", 1e9, 1.0, "none")
    assert device.seconds_for(3e8) == pytest.approx(1.0)
    measured = draw(1, seconds_per_step={"laptop": 0.5})[0]
    assert measured.compute_seconds(1e12, steps=8) == 4.0
    worked_out = draw(1)[0]
    assert worked_out.compute_seconds(1e12, steps=8) == DEVICES["laptop"].seconds_for(1e12)


def exponential(on, off):
    """The laws that a scenario's plain numbers stand for."""
    return OnOffSettings(kind="on-off", on=on, off=off).laws()


def answers(law, clients=range(40), time=1e6):
    return [(client.next_available(time), client.drops_out(1)) for client in map(law, clients)]


@pytest.mark.parametrize(
    "law",
    [
        dropout(3, 0.5),
        renewal(3, *exponential("30 s", "60 s")),
        renewal(3, Distribution("lognormal", (30.0, 1.0)), FIVE),
        diurnal(3, Nights()),
        traced(3, [Traced([1], [2], 100), Traced([50], [60], 100)]),
        traced(3, [Traced([1], [2], 100)], random_offset=True),
    ],
)
def test_availabilities_differ_by_client_and_are_drawn_alike_each_time(law):
    assert answers(law) == answers(law)
    assert len(set(answers(law))) > 1


def test_exponential_times_are_the_plain_numbers_of_on_off():
    law = Distribution("exponential", (30.0,)), Distribution("exponential", (60.0,))
    assert answers(renewal(5, *exponential("30 s", "60 s"))) == answers(
        lambda client: OnOff(*law, 5, client)
    )


def test_recordings_are_handed_out_evenly_and_from_their_beginning():
    recordings = [Traced([1], [2], 100), Traced([50], [60], 100)]
    first = [client.next_available(0) for client in map(traced(0, recordings), range(2000))]
    assert set(first) == {1, 50}
    assert first.count(1) / 2000 == pytest.approx(0.5, abs=0.04)
    with pytest.raises(ScenarioError, match="found no recording"):
        traced(0, [])


def test_batteries_of_those_that_have_one():
    population = draw(50, {"laptop": 1, "raspberry-pi-5": 1})
    found = batteries(population)
    assert set(found) == {p.client for p in population if p.device.name == "laptop"}
    assert set(found.values()) == {DEVICES["laptop"].battery}
