"""Making one of several registered things, each a dataclass whose fields are its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from fsim.validation import explain

T = TypeVar("T")


def choose(what: str, registry: Mapping[str, type[T]], name: str, options: Mapping[str, Any]) -> T:
    """Make the thing of that name with its options, the defaults for those not given.

    Raises
    ------
    ValueError
        Unknown name or option, or a value that the option does not allow; the message says what
        was found and what is allowed.
    """
    if name not in registry:
        raise ValueError(f"found {what} {name!r}, allowed are {', '.join(registry)}")
    checked: TypeAdapter[T] = TypeAdapter(registry[name])
    try:
        return checked.validate_python(dict(options))
    except ValidationError as error:
        raise ValueError(f"{what} {name}: {explain(error, registry[name])}") from None
