"""How the rooms meet: a client's round on the clock, and the world as a protocol sees it."""

from fsim.world.progress import Progress
from fsim.world.simulated import SimulatedWorld

__all__ = ["Progress", "SimulatedWorld"]
