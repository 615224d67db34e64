"""fsim: federated LLM fine-tuning in simulated seconds.

A scenario goes in, a SimPy clock runs, and out comes when each accuracy was reached, every byte,
second and gradient in between being real or accounted for.
"""

from importlib.metadata import version

__version__ = version("fsim")
