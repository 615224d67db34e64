"""The compression policies by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsim.choosing import choose
from fsim.compression.eden import Eden
from fsim.compression.fedpaq import FedPaq
from fsim.compression.fisher_rdo import FisherRdo
from fsim.compression.flasc import Flasc
from fsim.compression.floats import BFloat16, Float16, Float32
from fsim.compression.fstq import Fstq
from fsim.compression.halves import Alternating, Ffa
from fsim.compression.masked_sign import MaskedSign
from fsim.compression.policy import Policy
from fsim.compression.powersgd import PowerSgd
from fsim.compression.qsgd import Qsgd
from fsim.compression.signsgd import SignSgd
from fsim.compression.stc import Stc
from fsim.compression.terngrad import TernGrad
from fsim.compression.topk import TopK

POLICIES: dict[str, type[Policy]] = {
    policy.name: policy
    for policy in (
        Float32,
        Float16,
        BFloat16,
        Qsgd,
        TernGrad,
        SignSgd,
        TopK,
        Stc,
        FedPaq,
        PowerSgd,
        Eden,
        Flasc,
        Fstq,
        FisherRdo,
        MaskedSign,
        Ffa,
        Alternating,
    )
}


def make_policy(name: str, options: Mapping[str, Any]) -> Policy:
    """A policy by name; see :func:`fsim.choosing.choose` for what is raised."""
    return choose("policy", POLICIES, name, options)
