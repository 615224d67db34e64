"""Types of settings that are written as quantities with units, or as laws of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from fsim.distribution import Distribution
from fsim.units import BASE_UNITS, parse_quantity


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


Duration = Annotated[float, *_quantity("duration")]
Power = Annotated[float, *_quantity("power")]
Rate = Annotated[float, *_quantity("rate")]
Size = Annotated[float, *_quantity("size")]
RateLaw = Annotated[Distribution, *_law("rate")]
DurationLaw = Annotated[Distribution, *_law("duration")]
