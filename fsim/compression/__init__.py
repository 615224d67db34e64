"""Compression policies: an adapter's update to bytes and back.

Nothing here knows of the event loop, the network or the server.
"""

from fsim.compression.policy import POLICIES, EncodingContext, Policy
from fsim.compression.registry import make_policy, register

__all__ = ["POLICIES", "EncodingContext", "Policy", "make_policy", "register"]
