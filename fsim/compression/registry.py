"""The compression policies by name."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from contextlib import suppress
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
from fsim.compression.policy import Policy
from fsim.core.registry import choose

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
}

_SHIPPED = frozenset(POLICIES)

# What the command line and folders can hold: `NAME:OPTION=VALUE`, policies separated by commas.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

P = TypeVar("P", bound=type[Policy])


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
    told = f"policy {getattr(policy, '__name__', policy)!r}"
    if not (isinstance(policy, type) and issubclass(policy, Policy)):
        raise ValueError(f"{told}: found no class derived from fsim.compression.Policy")
    if missing := sorted(policy.__abstractmethods__):
        raise ValueError(f"{told}: found no {', '.join(missing)}, which every policy has")
    # Looked for in the class itself: a base's decoration would not know its fields.
    parameters = policy.__dict__.get("__dataclass_params__")
    if parameters is None or not parameters.frozen:
        raise ValueError(f"{told}: found no @dataclass(frozen=True), allowed is a frozen dataclass")
    name = getattr(policy, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{told}: name: found {name!r}, allowed are letters, digits, ., _ and -")
    if name in _SHIPPED:
        raise ValueError(f"{told}: name: found {name!r}, which is a policy that ships with fsim")
    for field in _fields(policy):
        bare = field.default is field.default_factory is dataclasses.MISSING
        if field.init and bare:
            raise ValueError(f"{told}: {field.name}: found no default, allowed is one")
    POLICIES[name] = policy
    return policy


def registered() -> tuple[type[Policy], ...]:
    """The policies that :func:`register` has made known, by name."""
    return tuple(POLICIES[name] for name in sorted(POLICIES.keys() - _SHIPPED))


def source_of(policy: type[Policy]) -> str:
    """What a policy rests on: its module's source, or where that is a notebook the class's own."""
    with suppress(OSError, TypeError):
        return inspect.getsource(inspect.getmodule(policy) or policy)
    parts = [repr([(field.name, field.default) for field in _fields(policy)])]
    for thing in vars(policy).values():
        with suppress(OSError, TypeError):
            parts.append(inspect.getsource(thing))
    return "".join(parts)


def _fields(policy: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(policy)


def make_policy(name: str, options: Mapping[str, Any]) -> Policy:
    """A policy by name; see :func:`fsim.core.registry.choose` for what is raised."""
    return choose("policy", POLICIES, name, options)
