import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.fleet import (
    DEVICES,
    UPLINK_POWER,
    AffinePower,
    ConstantPower,
    Device,
    EnergyModel,
)


def test_five_megabytes_over_lte_worked_by_hand():
    # 5 MB = 40 Mbit in 8 s is 5 Mbit/s: (2926 + 76.7 x 5) mW = 3.3095 W, for 8 s 26.476 J.
    assert UPLINK_POWER["lte"].transmit_energy(8, 5e6) == pytest.approx(26.476, abs=1e-9)


@pytest.mark.parametrize(
    ("radio", "rate", "milliwatts"),
    [("lte", 10, 3693), ("5g-low", 50, 4809), ("5g-mmwave", 200, 7444)],
)
def test_power_at_a_rate(radio, rate, milliwatts):
    # One second at r Mbit/s is r/8 MB and as many millijoules as milliwatts.
    assert UPLINK_POWER[radio].transmit_energy(1, rate * 1e6 / 8) * 1000 == pytest.approx(
        milliwatts
    )


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 300)), min_size=1, max_size=20))
def test_affine_energy_is_the_integral_of_power_for_any_rates(pieces):
    model = AffinePower(2.926, 0.0767)
    integral = math.fsum(seconds * (2.926 + 0.0767 * rate) for seconds, rate in pieces)
    seconds = math.fsum(seconds for seconds, _ in pieces)
    size = math.fsum(seconds * rate * 1e6 / 8 for seconds, rate in pieces)
    assert model.transmit_energy(seconds, size) == pytest.approx(integral, rel=1e-12)


def test_the_papers_table_follows_from_its_constant_model():
    # Fed-FSTQ, profile A (20 Mbit/s): FedAvg sends 1024 MB and computes 5 s; 634.40 J fit 1.5 W of
    # transmission and 4 W of compute, as do QSGD's 256 MB, 5.5 s and 175.60 J.
    device = Device("paper", 1e12, 4.0, "fitted")
    model = EnergyModel(ConstantPower(1.5), 0.0)
    for megabytes, compute, joules in ((1024, 5, 634.40), (256, 5.5, 175.60), (128, 7.5, 106.80)):
        seconds = megabytes * 8 / 20
        total = model.upload(seconds, megabytes * 1e6) + model.compute(device, compute)
        assert total == pytest.approx(joules, abs=1e-9)


@pytest.mark.parametrize(
    ("power", "joules"), [(0.1, 60.96), (0.5, 224.80), (1, 429.60), (2, 839.20), (5, 2068)]
)
def test_the_papers_sweep_of_transmit_power(power, joules):
    # FedAvg there: 409.6 s of sending, the rest of the energy, 20 J, constant.
    assert ConstantPower(power).transmit_energy(409.6, 1.024e9) + 20 == pytest.approx(joules)


def test_parts_of_a_round():
    device = DEVICES["phone-mid"]
    model = EnergyModel(ConstantPower(2), receive_power=1.0)
    assert model.download(3) == 3
    assert model.compute(device, 10) == 35
    assert model.waiting(device, 100) == 0
    counted = EnergyModel(ConstantPower(2), 1.0, count_waiting=True)
    assert counted.waiting(device, 100) == pytest.approx(50)


@pytest.mark.parametrize("seconds", [-1.0, math.nan])
def test_negative_time_is_refused(seconds):
    model = EnergyModel(ConstantPower(2), 1.0)
    for part in (lambda: model.upload(seconds, 1), lambda: model.upload(1, seconds),
                 lambda: model.download(seconds),
                 lambda: model.compute(DEVICES["laptop"], seconds),
                 lambda: model.waiting(DEVICES["laptop"], seconds)):  # fmt: skip
        with pytest.raises(ValueError, match="allowed is 0 or more"):
            part()


def test_battery():
    # 5000 mAh at 3.85 V are 19.25 Wh or 69.3 kJ.
    assert DEVICES["phone-mid"].battery == pytest.approx(69_300)


def test_lower_rates_cost_more_energy_for_the_same_bytes():
    # The base power is paid for as long as the transfer lasts.
    size = 5e6
    rates = np.array([0.5, 1, 5, 20])
    joules = [UPLINK_POWER["lte"].transmit_energy(size * 8 / 1e6 / rate, size) for rate in rates]
    assert joules == sorted(joules, reverse=True)
    assert joules[0] / joules[-1] == pytest.approx((2926 / 0.5 + 76.7) / (2926 / 20 + 76.7))
