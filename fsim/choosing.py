"""Making one of several registered things, each a dataclass whose fields are its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from fsim.errors import ScenarioError
from fsim.validation import explain

T = TypeVar("T")

INNER = "inner"
"""The option of what is around another choice."""


def parse_choice(argument: str, text: str) -> tuple[str, dict[str, Any]]:
    """Read a name with options as the command line has it: ``qsgd:bits=2:bucket=64``.

    Parameters
    ----------
    argument
        What the error names.
    text
        A name, then ``:OPTION=VALUE`` any number of times, values as in YAML. An option ``inner``,
        which is a choice itself, has all that follows for its own options, and so comes last:
        ``ffa:inner=qsgd:bits=2``.

    Raises
    ------
    ScenarioError
        A part that is no option.
    """
    name, *rest = text.strip().split(":")
    options = {}
    while rest:
        part, *rest = rest
        key, equals, value = part.partition("=")
        if key == INNER:
            options[key] = ":".join([value, *rest])
            break
        if not equals:
            raise ScenarioError(
                f"{argument}: found {text!r}, allowed is NAME or NAME:OPTION=VALUE:..."
            )
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ScenarioError(f"{argument}: {key}: found {value!r}, not a YAML value") from None
    return name, options


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
