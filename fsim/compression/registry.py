"""The compression policies by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsim.choosing import choose
from fsim.compression.floats import Float16, Float32
from fsim.compression.fstq import Fstq
from fsim.compression.policy import Policy
from fsim.compression.qsgd import Qsgd
from fsim.compression.topk import TopK

POLICIES: dict[str, type[Policy]] = {
    policy.name: policy for policy in (Float32, Float16, Qsgd, TopK, Fstq)
}


def make_policy(name: str, options: Mapping[str, Any]) -> Policy:
    """A policy by name; see :func:`fsim.choosing.choose` for what is raised."""
    return choose("policy", POLICIES, name, options)
