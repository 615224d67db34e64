"""The compression policies by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fsim.compression.floats import Float16, Float32
from fsim.compression.fstq import Fstq
from fsim.compression.policy import Policy
from fsim.compression.qsgd import Qsgd
from fsim.compression.topk import TopK
from fsim.validation import explain

POLICIES: dict[str, type[Policy]] = {
    policy.name: policy for policy in (Float32, Float16, Qsgd, TopK, Fstq)
}


def make_policy(name: str, options: Mapping[str, Any]) -> Policy:
    """A policy by name with its options, the defaults for those not given.

    Raises
    ------
    ValueError
        Unknown policy or option, or a value that the option does not allow; the message says what
        was found and what is allowed.
    """
    if name not in POLICIES:
        raise ValueError(f"found policy {name!r}, allowed are {', '.join(POLICIES)}")
    policy = POLICIES[name]
    checked: TypeAdapter[Policy] = TypeAdapter(policy)
    try:
        return checked.validate_python(dict(options))
    except ValidationError as error:
        raise ValueError(f"policy {name}: {explain(error, policy)}") from None
