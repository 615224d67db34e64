"""Types of settings that are written as quantities with units, or as laws of them."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from fsim.distribution import Distribution
from fsim.units import BASE_UNITS, parse_quantity

LARGEST_SEED: Final = 2**63 - 1
"""Tables keep whole numbers in 64 bits."""

SLOWEST: Final = 1e-6
"""Bytes/s above 0. Over less, a byte takes weeks, and a payload more than seconds can count."""

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]

Count = Annotated[int, Field(gt=0, le=10**9)]
"""Of what takes no memory before it is there."""


def _quantity(dimension: str) -> tuple[BeforeValidator, PlainSerializer]:
    return (
        BeforeValidator(lambda text: parse_quantity(text, dimension)),
        PlainSerializer(lambda value: f"{value!r} {BASE_UNITS[dimension]}"),
    )


def _law(dimension: str) -> tuple[BeforeValidator, PlainSerializer]:
    return (
        BeforeValidator(lambda text: Distribution.parse(text, dimension)),
        PlainSerializer(lambda law: law.text(BASE_UNITS[dimension])),
    )


def _no_trickle(rate: float | Distribution) -> float | Distribution:
    value = (
        rate
        if isinstance(rate, float)
        else max(rate.parameters[: 2 if rate.kind == "uniform" else 1])
    )
    if 0 < value < SLOWEST:
        raise ValueError(f"found {value:g} B/s, allowed is 0, or {SLOWEST:g} B/s and more")
    return rate


Duration = Annotated[float, *_quantity("duration")]
Power = Annotated[float, *_quantity("power")]
Rate = Annotated[float, *_quantity("rate"), AfterValidator(_no_trickle)]
Size = Annotated[float, *_quantity("size")]
RateLaw = Annotated[Distribution, *_law("rate"), AfterValidator(_no_trickle)]
DurationLaw = Annotated[Distribution, *_law("duration")]
