import pytest

from fsim.distribution import Distribution
from fsim.errors import ScenarioError
from fsim.fleet import DEVICES, Device, draw_population
from fsim.fleet.population import LinkLaw, always_on
from fsim.network import Capacity

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


def test_compute_seconds():
    device = Device("test", 1e9, 1.0, "none")
    assert device.seconds_for(3e8) == pytest.approx(1.0)
    measured = draw(1, seconds_per_step={"laptop": 0.5})[0]
    assert measured.compute_seconds(1e12, steps=8) == 4.0
    worked_out = draw(1)[0]
    assert worked_out.compute_seconds(1e12, steps=8) == DEVICES["laptop"].seconds_for(1e12)


def test_devices_have_plausible_rates_and_sources():
    for device in DEVICES.values():
        assert 1e10 < device.sustained_flops < 1e13
        assert 1 < device.compute_power < 100
        assert device.source
    orin = DEVICES["jetson-orin-nano"]
    assert orin.peak_flops == pytest.approx(1.28e12)
