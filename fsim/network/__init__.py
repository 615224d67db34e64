"""The network: capacity over time and transports, turning bytes into seconds.

Nothing here knows of clients, rounds, models or the event loop.
"""

from fsim.network.capacity import Capacity
from fsim.network.transport import Fluid, Tcp, Transport

__all__ = ["Capacity", "Fluid", "Tcp", "Transport"]
