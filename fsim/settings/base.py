"""What every part of a scenario's settings is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationInfo

from fsim.choosing import parse_choice
from fsim.errors import ScenarioError


class Settings(BaseModel):
    """A part of a scenario: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def one_of(name: str, names: Sequence[str] | Mapping[str, Any]) -> str:
    """The name, if it is one of them; ValueError if not."""
    if name not in names:
        raise ValueError(f"found {name!r}, allowed are {', '.join(names)}")
    return name


def gather(
    data: Mapping[str, Any], own: Sequence[str], registry: Mapping[str, type], default: str
) -> dict[str, Any]:
    """Keys of the section itself as they are, all others together as ``options``.

    Parameters
    ----------
    data
        The section as written.
    own
        Its own keys, the first of them naming one of the registered things.
    registry
        Name -> dataclass, its fields being its options.
    default
        Name if none is given.

    Raises
    ------
    ValueError
        A key that is neither the section's nor an option.
    """
    kind = registry.get(data.get(own[0], default))
    if kind is not None and is_dataclass(kind):
        allowed = [*own, *(field.name for field in fields(kind) if field.init)]
        for key in data:
            if key not in allowed:
                raise ValueError(f"{key}: unknown key, allowed are {', '.join(allowed)}")
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


@dataclass(frozen=True)
class Choice:
    """One of several registered things and its options, as a scenario has it.

    Written as ``NAME``, ``NAME:OPTION=VALUE:...`` or ``{kind: NAME, OPTION: VALUE, ...}``.
    """

    name: str
    options: dict[str, Any]

    @classmethod
    def parse(cls, data: Any) -> Choice:
        """Read it; ValueError if it is neither."""
        if isinstance(data, Choice):
            return data
        if isinstance(data, str):
            try:
                return cls(*parse_choice("", data))
            except ScenarioError:
                raise ValueError(f"found {data!r}, allowed is NAME:OPTION=VALUE:...") from None
        if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
            raise ValueError(f"found {data!r}, allowed is a name, or a mapping with `kind`")
        return cls(data["kind"], {key: data[key] for key in data if key != "kind"})

    def to_data(self) -> dict[str, Any]:
        """As a mapping."""
        return {"kind": self.name, **self.options}


def choice_of(make: Callable[[str, Mapping[str, Any]], Any]) -> Any:
    """The type of a setting that is one of several registered things.

    Parameters
    ----------
    make
        Makes the thing of a name with options, and refuses with ValueError.
    """

    def check(data: Any) -> Choice:
        choice = Choice.parse(data)
        make(choice.name, choice.options)
        return choice

    return Annotated[Choice, BeforeValidator(check), PlainSerializer(Choice.to_data)]
