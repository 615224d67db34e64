"""The network: capacity over time and transports, turning bytes into seconds.

Nothing here knows of clients, rounds, models or the event loop.
"""

from fsim.network.links.capacity import Capacity
from fsim.network.transports.transports import Arq, Datagram, Fluid, Opening, Reno, Tcp, Transport

__all__ = [
    "Arq",
    "Capacity",
    "Datagram",
    "Fluid",
    "Opening",
    "Reno",
    "Tcp",
    "Transport",
]
