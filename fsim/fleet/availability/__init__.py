"""Availability of clients: the times at which they can take part, and dropping out.

Asking never changes the answer: every process is a function of its client's own named random
streams alone, so that who is asked, when and how often leaves no trace in the result.

A client that has not been asked yet takes less than 100 bytes of memory, one that has less than
300, however far apart the times were.
"""

from fsim.fleet.availability.base import (
    AlwaysOn,
    Availability,
    Dropout,
    Moment,
    Vanishing,
    Window,
)
from fsim.fleet.availability.diurnal import Diurnal, Nights
from fsim.fleet.availability.renewal import OnOff
from fsim.fleet.availability.traced import Traced

__all__ = [
    "AlwaysOn",
    "Availability",
    "Diurnal",
    "Dropout",
    "Moment",
    "Nights",
    "OnOff",
    "Traced",
    "Vanishing",
    "Window",
]
