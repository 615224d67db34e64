"""What every part of a scenario's settings is made of: quantities, laws, options of a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationInfo

from fsim.distribution import Distribution
from fsim.errors import ScenarioError
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
RateLaw = Annotated[Distribution, *_law("rate")]
DurationLaw = Annotated[Distribution, *_law("duration")]


class Settings(BaseModel):
    """A part of a scenario: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def one_of(name: str, names: Sequence[str] | Mapping[str, Any]) -> str:
    """The name, if it is one of them; ValueError if not."""
    if name not in names:
        raise ValueError(f"found {name!r}, allowed are {', '.join(names)}")
    return name


def gather(data: Mapping[str, Any], own: set[str]) -> dict[str, Any]:
    """Keys of the section itself as they are, all others together as ``options``."""
    kept = {key: value for key, value in data.items() if key in own}
    return {**kept, "options": {key: data[key] for key in data if key not in own}}


def spread(data: dict[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`gather`."""
    options = data.pop("options")
    return {**data, **options}


def find_file(path: str, folders: Sequence[Path]) -> Path:
    """The first file or folder of that name in the folders.

    Raises
    ------
    ScenarioError
        There is none.
    """
    for folder in folders:
        if (folder / path).exists():
            return folder / path
    raise ScenarioError(f"{path}: no such file, here or beside or above the scenario")


def folders(info: ValidationInfo) -> tuple[Path, ...]:
    """Where files that a scenario names are looked for."""
    return info.context["folders"] if info.context else (Path(),)
