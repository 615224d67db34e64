"""The network: capacity over time and transports, turning bytes into seconds.

Nothing here knows of clients, rounds, models or the event loop.
"""

from fsim.network.links.capacity import Capacity
from fsim.network.transports.base import Transport
from fsim.network.transports.pace import NEW_CONNECTION, Opening, Pace
from fsim.network.transports.tcp import Arq, Tcp
from fsim.network.transports.transports import Datagram, Fluid

__all__ = [
    "NEW_CONNECTION",
    "Arq",
    "Capacity",
    "Datagram",
    "Fluid",
    "Opening",
    "Pace",
    "Tcp",
    "Transport",
]
