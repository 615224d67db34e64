"""The compression policies that ship, and how a user adds another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fsim.compression.policies.eden import Eden
from fsim.compression.policies.fedbat import FedBat
from fsim.compression.policies.fedpaq import FedPaq
from fsim.compression.policies.fisher_rdo import FisherRdo
from fsim.compression.policies.flasc import Flasc
from fsim.compression.policies.floats import BFloat16, Float16, Float32
from fsim.compression.policies.fstq.fstq import Fstq
from fsim.compression.policies.lora_factors import Alternating, Ffa
from fsim.compression.policies.masked_sign import MaskedSign
from fsim.compression.policies.powersgd import PowerSgd
from fsim.compression.policies.qsgd import Qsgd
from fsim.compression.policies.signsgd import SignSgd
from fsim.compression.policies.stc import Stc
from fsim.compression.policies.terngrad import TernGrad
from fsim.compression.policies.tome import Tome
from fsim.compression.policies.topk import TopK
from fsim.compression.policy import POLICIES, Policy

P = TypeVar("P", bound=type[Policy])

POLICIES.ship(
    Float32,
    Float16,
    BFloat16,
    Qsgd,
    TernGrad,
    SignSgd,
    TopK,
    Stc,
    FedPaq,
    FedBat,
    PowerSgd,
    Eden,
    Flasc,
    Fstq,
    FisherRdo,
    MaskedSign,
    Ffa,
    Alternating,
    Tome,
)


def register(policy: P) -> P:
    """Make a policy of one's own known by its name, in this process; usable as a decorator.

    A second one of the same name takes the first one's place, so that a notebook's cell can be run
    again. Runs in other processes of :func:`fsim.compare` and :func:`fsim.sweep` know it too, where
    they can import it: a class of a module or of a script, not of a notebook.

    Parameters
    ----------
    policy
        A frozen dataclass derived from :class:`Policy`, each field, an option, with a default.

    Returns
    -------
    type[Policy]
        The class itself.

    Raises
    ------
    ValueError
        In one line: what is not as it must be, or a name of a policy that ships.
    """
    return POLICIES.register(policy)


def make_policy(name: str, options: Mapping[str, Any]) -> Policy:
    """A policy by name; see :func:`fsim.core.registry.choose` for what is raised."""
    return POLICIES.make(name, options)
