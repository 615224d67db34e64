"""Making one of several registered things, each a dataclass whose fields are its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from fsim.core.documents import parse_yaml
from fsim.core.errors import ScenarioError, shown
from fsim.core.validation import explain

T = TypeVar("T")

_ADAPTERS: dict[type, TypeAdapter[Any]] = {}

LARGEST_OPTION = 1e18
"""Infinity and NaN are no values of any option either."""

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
    options: dict[str, Any] = {}
    while rest:
        part, *rest = rest
        key, equals, value = part.partition("=")
        if key in options:
            raise ScenarioError(f"{argument}: found the option {shown(key)} twice")
        if key == INNER:
            options[key] = ":".join([value, *rest])
            break
        if not equals:
            raise ScenarioError(
                f"{argument}: found {shown(text)}, allowed is NAME or NAME:OPTION=VALUE:..."
            )
        try:
            options[key] = parse_yaml(value)
        except ValueError as error:
            raise ScenarioError(
                f"{argument}: {key}: found {shown(value)}, not a YAML value: {error}"
            ) from None
    return name, options


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    """What checks a class; to make one takes longer than a small simulated run does."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def choose(what: str, registry: Mapping[str, type[T]], name: str, options: Mapping[str, Any]) -> T:
    """Make the thing of that name with its options, the defaults for those not given.

    Raises
    ------
    ValueError
        Unknown name or option, or a value that the option does not allow; the message says what
        was found and what is allowed.
    """
    if name not in registry:
        raise ValueError(f"found {what} {shown(name)}, allowed are {', '.join(registry)}")
    checked: TypeAdapter[T] = _adapter(registry[name])
    try:
        made = checked.validate_python(dict(options))
    except ValidationError as error:
        raise ValueError(f"{what} {name}: {explain(error, registry[name])}") from None
    # What the class itself says of its options is plainer, and comes first.
    for option, value in options.items():
        if isinstance(value, int | float) and not abs(value) <= LARGEST_OPTION:
            raise ValueError(
                f"{what} {name}: {str(option)[:60]}: found {shown(value)}, allowed is no number "
                f"beyond {LARGEST_OPTION:g}"
            )
    return made
