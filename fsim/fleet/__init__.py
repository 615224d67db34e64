"""The fleet: devices, power, radios, availability, and how a population is drawn.

Nothing here knows of models or compression.
"""

from fsim.fleet.availability import (
    AlwaysOn,
    Availability,
    Diurnal,
    Dropout,
    Nights,
    OnOff,
    Traced,
    Window,
)
from fsim.fleet.devices import DEVICES, Device
from fsim.fleet.population import ClientProfile, Link, Population, batteries, draw_population
from fsim.fleet.power import (
    UPLINK_POWER,
    AffinePower,
    ConstantPower,
    EnergyModel,
    PowerModel,
)
from fsim.fleet.radio import RADIOS, Radio

__all__ = [
    "DEVICES",
    "RADIOS",
    "UPLINK_POWER",
    "AffinePower",
    "AlwaysOn",
    "Availability",
    "ClientProfile",
    "ConstantPower",
    "Device",
    "Diurnal",
    "Dropout",
    "EnergyModel",
    "Link",
    "Nights",
    "OnOff",
    "Population",
    "PowerModel",
    "Radio",
    "Traced",
    "Window",
    "batteries",
    "draw_population",
]
