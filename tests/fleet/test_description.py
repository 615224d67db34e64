import json

import pytest

from fsim.core.distributions import Distribution
from fsim.core.errors import TransferNeverEnds
from fsim.fleet import Nights, draw_population
from fsim.fleet.description import HOURS, SAMPLE, Quantiles, describe, uplink_rates
from fsim.fleet.population import LinkLaw, always_on, diurnal
from fsim.network import Capacity

MBIT = 1e6 / 8


def constant(value):
    return Distribution("constant", (value,))


def draw(clients=40, devices=None, rate=None, availability=None, **more):
    uplink = LinkLaw(None, rate or constant(20 * MBIT), constant(0.08))
    downlink = LinkLaw(None, constant(50 * MBIT), constant(0.02))
    devices = devices or {"laptop": 1.0}
    law = availability or always_on()
    return draw_population(0, clients, devices, uplink, downlink, law, **more)


def test_a_population_of_equals_worked_by_hand():
    found = describe(draw())
    assert (found.clients, found.sample) == (40, 40)
    assert found.uplink_mbit_s == Quantiles(20, 20, 20)
    assert found.downlink_mbit_s == Quantiles(50, 50, 50)
    assert found.uplink_round_trip_s == Quantiles(0.08, 0.08, 0.08)
    assert found.downlink_round_trip_s == Quantiles(0.02, 0.02, 0.02)
    # 1 MB at 20 Mbit/s and 80 ms: 0.804 s by the published slow-start formula, 0.82 s measured,
    # both until the last acknowledgement, half a round trip after the last byte is there.
    assert found.upload_s.p50 == pytest.approx(0.764, abs=0.002)
    assert found.available == (1.0,) * 25
    assert found.seconds_per_step is None


def test_quantiles_of_rates_are_those_of_their_law():
    # Lognormal: 5% below median exp(-1.645 sigma).
    population = draw(4000, rate=Distribution("lognormal", (MBIT, 0.8)))
    found = describe(population).uplink_mbit_s
    assert found.p50 == pytest.approx(1, rel=0.05)
    assert found.p5 == pytest.approx(0.268, rel=0.08)
    assert found.p95 == pytest.approx(3.73, rel=0.08)
    assert len(uplink_rates(population)) == 4000
    assert describe(population).sample == SAMPLE


def test_devices_are_counted_the_commonest_first():
    found = describe(draw(400, {"laptop": 1, "phone-mid": 3}, seconds_per_step={"laptop": 2.0}))
    assert [count.device.name for count in found.devices] == ["phone-mid", "laptop"]
    assert sum(count.clients for count in found.devices) == 400
    assert [count.seconds_per_step for count in found.devices] == [None, 2.0]
    assert found.seconds_per_step is None


def test_steps_that_were_measured_for_all():
    found = describe(draw(seconds_per_step={"laptop": 2.0}))
    assert found.seconds_per_step == Quantiles(2, 2, 2)


def test_availability_by_the_hour():
    hour = 3600.0
    nights = Nights(23 * hour, 0, 8 * hour, 0, 1.0)
    found = describe(draw(availability=diurnal(0, nights)))
    assert found.available == tuple(float(at < 7 or at >= 23) for at in HOURS)


def test_as_json():
    data = json.loads(json.dumps(describe(draw(devices={"phone-mid": 1})).as_dict()))
    assert data["devices"]["phone-mid"]["clients"] == 40
    assert data["devices"]["phone-mid"]["battery_j"] == pytest.approx(69_300)
    assert data["uplink_mbit_s"] == {"p5": 20, "p50": 20, "p95": 20}
    assert data["available"]["21"] == 1


def test_an_upload_without_end_is_told_with_its_client():
    trace = Capacity([0, 1], [100.0, 0.0], duration=2, past_end="hold")
    uplink = LinkLaw(trace, None, constant(0.05), random_offset=False)
    population = draw_population(0, 3, {"laptop": 1.0}, uplink, uplink, always_on())
    with pytest.raises(TransferNeverEnds, match=r"client 0, an upload of 1 MB: .* never arrive"):
        describe(population)
