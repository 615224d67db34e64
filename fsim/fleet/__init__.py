"""The fleet: devices, their power, when they are available, and how a population is drawn.

Nothing here knows of models or compression.
"""

from fsim.fleet.availability import AlwaysOn, Availability, Dropout, OnOff
from fsim.fleet.devices import DEVICES, Device
from fsim.fleet.population import ClientProfile, Link, Population, draw_population

__all__ = [
    "DEVICES",
    "AlwaysOn",
    "Availability",
    "ClientProfile",
    "Device",
    "Dropout",
    "Link",
    "OnOff",
    "Population",
    "draw_population",
]
