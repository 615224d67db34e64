"""Types of settings that are written as quantities with units, or as laws of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from fsim.core.distributions import Distribution
from fsim.core.units import BASE_UNITS, parse_quantity

T = TypeVar("T")

LARGEST_SEED: Final = 2**63 - 1
"""Tables keep whole numbers in 64 bits."""

MOST_STEPS: Final = 100_000
"""Steps of training in a row, whose batches are drawn before the first."""

BOUNDS: Final = {
    "rate": (1e-6, 1e15),
    "duration": (1e-12, 1e12),
    "power": (1e-12, 1e9),
    "size": (1e-12, 1e18),
}
"""Dimension -> the smallest amount above 0 and the largest, in the base unit.

Beyond them times are no longer told apart, or sums are no numbers."""

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]

Count = Annotated[int, Field(gt=0, le=10**9)]
"""Of what takes no memory before it is there."""


def _quantity(dimension: str) -> tuple[BeforeValidator, AfterValidator, PlainSerializer]:
    return (
        BeforeValidator(lambda text: parse_quantity(text, dimension)),
        AfterValidator(lambda value: _within(value, (value,), dimension)),
        PlainSerializer(lambda value: f"{value!r} {BASE_UNITS[dimension]}"),
    )


def _law(dimension: str) -> tuple[BeforeValidator, AfterValidator, PlainSerializer]:
    return (
        BeforeValidator(lambda text: Distribution.parse(text, dimension)),
        AfterValidator(lambda law: _within(law, law.quantities, dimension)),
        PlainSerializer(lambda law: law.text(BASE_UNITS[dimension])),
    )


def _within(value: T, quantities: Sequence[float], dimension: str) -> T:
    """Check that the largest quantity is 0 or within its dimension's bounds; give the value."""
    largest, (least, most) = max(quantities), BOUNDS[dimension]
    if largest and not least <= largest <= most:
        unit = BASE_UNITS[dimension]
        raise ValueError(f"found {largest:g} {unit}, allowed is 0, or {least:g} to {most:g} {unit}")
    return value


Duration = Annotated[float, *_quantity("duration")]
Power = Annotated[float, *_quantity("power")]
Rate = Annotated[float, *_quantity("rate")]
Size = Annotated[float, *_quantity("size")]
RateLaw = Annotated[Distribution, *_law("rate")]
DurationLaw = Annotated[Distribution, *_law("duration")]
