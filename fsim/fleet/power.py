"""Energy of a client's part in a round.

Two models of sending are in use. In one, the radio draws a constant power while it sends, as in
Fed-FSTQ (arXiv 2604.25421): E = P_tx x T. In measurements of whole phones the power is affine in
the rate (:data:`UPLINK_POWER`). **They count different things**: the constant one the radio alone,
the affine one everything the phone draws while it sends, screen and processor included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fsim.fleet.devices import Device


class PowerModel(Protocol):
    """Model of the energy that sending takes."""

    def transmit_energy(self, seconds: float, size: float) -> float:
        """Joules of sending ``size`` bytes in ``seconds``."""
        ...


@dataclass(frozen=True)
class ConstantPower:
    """The same power whatever the rate (Fed-FSTQ: 2 W).

    Attributes
    ----------
    power
        Watts.
    """

    power: float

    def transmit_energy(self, seconds: float, size: float) -> float:
        """Joules: power x seconds, whatever the size."""
        return self.power * seconds


@dataclass(frozen=True)
class AffinePower:
    """Power affine in the rate: P(t) = base + slope x r(t).

    The energy of a transfer is the integral of P over its time T,

        base x T + slope x (integral of r) = base x T + slope x bits,

    since the rate's integral is what was sent: exactly so, however the rate went up and down
    meanwhile. So seconds and bytes are all that is needed.

    Attributes
    ----------
    base
        Watts at a rate of zero: of the whole device.
    slope
        Watts for each Mbit/s, which is joules for each Mbit (10^6 bit).
    """

    base: float
    slope: float

    def transmit_energy(self, seconds: float, size: float) -> float:
        """Joules: base x seconds + slope x Mbit."""
        return self.base * seconds + self.slope * size * 8 / 1e6


UPLINK_POWER: dict[str, AffinePower] = {
    "lte": AffinePower(2.926, 0.0767),
    "5g-low": AffinePower(3.199, 0.0322),
    "5g-mmwave": AffinePower(5.664, 0.0089),
}
"""Radio -> the power of a whole phone while it uploads: LTE, 5G low band, 5G mmWave.

Fits of per-second measurements of phones: 2926 + 76.7 r, 3199 + 32.2 r, 5664 + 8.9 r mW, r in
Mbit/s. That power is affine in throughput with a slope for each radio is also what Narayanan et
al., A Variegated Look at 5G in the Wild, SIGCOMM 2021, find.
"""


@dataclass(frozen=True)
class EnergyModel:
    """Energy of each part of a client's round.

    Attributes
    ----------
    transmit
        Of sending.
    receive_power
        Watts while receiving.
    count_waiting
        Whether a selected client's waiting costs its device's idle power, or nothing.
    """

    transmit: PowerModel
    receive_power: float
    count_waiting: bool = False

    def upload(self, seconds: float, size: float) -> float:
        """Joules of sending ``size`` bytes in ``seconds``; of an upload broken off, what was sent.

        Raises
        ------
        ValueError
            Something negative.
        """
        _not_negative(seconds, size)
        return self.transmit.transmit_energy(seconds, size)

    def download(self, seconds: float) -> float:
        """Joules of receiving for ``seconds``."""
        _not_negative(seconds)
        return self.receive_power * seconds

    def compute(self, device: Device, seconds: float) -> float:
        """Joules of training for ``seconds``."""
        _not_negative(seconds)
        return device.compute_power * seconds

    def waiting(self, device: Device, seconds: float) -> float:
        """Joules of waiting for ``seconds``: the device's idle power, if waiting is counted."""
        _not_negative(seconds)
        return device.idle_power * seconds if self.count_waiting else 0.0


def _not_negative(*values: float) -> None:
    for value in values:
        if not value >= 0:
            raise ValueError(f"found {value:g}, allowed is 0 or more")
