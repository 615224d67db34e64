"""Options of registered things, found by trying: whatever is registered is explored as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, get_args, get_type_hints

from hypothesis import strategies as st
from pydantic import TypeAdapter

from fsim.compression import POLICIES
from fsim.network.transports.congestion import CONGESTION
from fsim.network.transports.tcp import LOSSES
from fsim.server.staleness import STALENESS

POOL = (
    None, 1, 2, 3, 5, 8, 20, 0, False, True,
    0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.5, 2.0, 10.0,
    "0.2 s", "5 s", "1 min", "1 h",
)  # fmt: skip
"""Values that every option is tried with."""

TEXTS = {
    "congestion": tuple(CONGESTION),
    "losses": LOSSES,
    "staleness": (*STALENESS, "polynomial:exponent=2", "hinge:slope=1:free=0"),
    "inner": tuple(POLICIES),
}
"""Option -> what to try beside the pool, where that is a name of a registry."""

Options = dict[str, Any]


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def made(kind: type, options: Options) -> Any:
    """What :func:`fsim.core.registry.choose` makes, or a ValueError, many times as fast."""
    return _adapter(kind).validate_python(options)


@cache
def candidates(kind: type) -> dict[str, list[Any]]:
    """Option -> the values that a registered dataclass takes, its other options at their defaults.

    Each stands for another value of the option; the default is left out.
    """
    hints = get_type_hints(kind)
    found: dict[str, list[Any]] = {}
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        taken, usual = [], made(kind, {})
        seen = [getattr(usual, field.name)]
        for value in (*get_args(hints[field.name]), *TEXTS.get(field.name, ()), *POOL):
            with suppress(ValueError, TypeError):
                got = getattr(made(kind, {field.name: value}), field.name)
                if not any(got == other for other in seen):
                    seen.append(got)
                    taken.append(value)
        if taken:
            found[field.name] = taken
    return found


def alternatives(kind: type, options: Options) -> Iterator[Options]:
    """The options, and what can stand for them where they do not fit together or a scenario."""
    yield options
    yield from ({k: v for k, v in options.items() if k != left_out} for left_out in options)
    yield {}
    yield from ({name: value} for name, values in candidates(kind).items() for value in values)


def fitting(kind: type, options: Options, fits: Callable[[Any], object]) -> Options:
    """The first of the alternatives that can be made and that ``fits`` does not refuse."""
    for some in alternatives(kind, options):
        with suppress(ValueError):
            fits(made(kind, some))
            return some
    raise ValueError(f"nothing of {kind.__name__} fits")


@st.composite
def options_of(
    draw: st.DrawFn, kind: type, fits: Callable[[Any], object] = lambda made: None
) -> Options:
    """Options that differ from their defaults here and there."""
    drawn: Options = {}
    for name, values in candidates(kind).items():
        at = draw(st.integers(-2, len(values) - 1))
        if at >= 0:
            drawn[name] = values[at]
    return fitting(kind, drawn, fits)


@st.composite
def chosen_from(
    draw: st.DrawFn,
    registry: Mapping[str, type],
    key: str = "kind",
    fits: Callable[[Any], object] = lambda made: None,
) -> Options:
    """One of a registry with options, as a scenario has it."""
    name = draw(st.sampled_from(list(registry)))
    return {key: name, **draw(options_of(registry[name], fits))}
