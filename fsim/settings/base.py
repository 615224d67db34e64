"""The base of every part of a scenario's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BeforeValidator,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from fsim.core.errors import ScenarioError, shown
from fsim.core.registry import parse_choice
from fsim.core.validation import LONGEST_PATH, Settings
from fsim.network.transports.packets import PACKET

T = TypeVar("T")


def one_of(name: str, names: Sequence[str] | Mapping[str, Any]) -> str:
    """The name, if it is one of them; ValueError if not."""
    if name not in names:
        raise ValueError(f"found {shown(name)}, allowed are {', '.join(names)}")
    return name


def check_queue(link: str, queue: float | None, capacity: object) -> None:
    """Refuse a queue that holds no packet, or that has no link of a capacity behind it.

    Raises
    ------
    ValueError
        In one line.
    """
    if queue is None:
        return
    if capacity is None:
        raise ValueError(
            f"{link}_queue: found {queue:g} B and no {link}, allowed is a queue of a link that has "
            "a rate"
        )
    if not queue >= PACKET:
        raise ValueError(
            f"{link}_queue: found {queue:g} B, allowed is a packet, {PACKET} B, or more"
        )


class SectionWithOptions(Settings):
    """A section that names one of several registered things, whose options stand beside the name.

    A subclass's first field is the name; its default, if it has one, is taken where none is given.
    """

    registry: ClassVar[Mapping[str, type]]
    """Name -> dataclass, its fields being its options."""

    options: dict[str, Any] = {}

    @classmethod
    def make_named(cls, name: str, options: Mapping[str, Any]) -> Any:
        """Make the thing of a name, or refuse by ValueError."""
        raise NotImplementedError

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        own = [key for key in cls.model_fields if key != "options"]
        name = data.get(own[0], cls.model_fields[own[0]].default)
        if own[0] in data and not isinstance(name, str):
            raise ValueError(
                f"{own[0]}: found {shown(name)}, allowed are {', '.join(cls.registry)}"
            )
        if not isinstance(name, str):
            return data
        gathered = _gather(data, own, name, cls.registry)
        cls.make_named(name, gathered["options"])
        return gathered

    @model_serializer(mode="wrap")
    def _spread(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data = handler(self)
        options = data.pop("options")
        return {**data, **options}


def _gather(
    data: Mapping[str, Any], own: Sequence[str], name: str, registry: Mapping[str, type]
) -> dict[str, Any]:
    """Keys of the section itself as they are, all others together as ``options``."""
    if (options := _options(registry.get(name))) is not None:
        allowed = [*own, *options]
        for key in data:
            if key not in allowed:
                shown_key = str(key)[:LONGEST_PATH]
                others = [other for other in registry if key in (_options(registry[other]) or ())]
                having = f" with {own[0]}: {name}; {shown_key} goes with {', '.join(others)}"
                raise ValueError(
                    f"{shown_key}: unknown key, allowed are {', '.join(allowed)}"
                    f"{having if others else ''}"
                )
    own_data = {key: value for key, value in data.items() if key in own}
    return {**own_data, "options": {key: data[key] for key in data if key not in own}}


def _options(kind: type | None) -> list[str] | None:
    """The options of a registered kind; None if it is no dataclass, or none at all."""
    if kind is None or not is_dataclass(kind):
        return None
    return [field.name for field in fields(kind) if field.init]


def find_file(path: str, folders: Sequence[Path]) -> Path:
    """The first file or folder of that name in the folders.

    Raises
    ------
    ScenarioError
        There is none.
    """
    for folder in folders:
        try:
            candidate = folder / path
            if candidate.is_file() or candidate.is_dir():
                return candidate
            if candidate.exists():
                raise ScenarioError(f"{path}: found a device or a pipe, allowed is a file")
        except (OSError, ValueError) as error:  # no name that a file could have
            raise ScenarioError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    raise ScenarioError(f"{path}: no such file, here or beside or above the scenario")


def folders(info: ValidationInfo) -> tuple[Path, ...]:
    """Folders in which files that a scenario names are looked for."""
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
                raise ValueError(f"found {shown(data)}, allowed is NAME:OPTION=VALUE:...") from None
        if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
            raise ValueError(f"found {shown(data)}, allowed is a name, or a mapping with `kind`")
        return cls(data["kind"], {key: data[key] for key in data if key != "kind"})

    def make(self, make: Callable[[str, Mapping[str, Any]], T]) -> T:
        """The thing itself, by what makes things of its registry."""
        return make(self.name, self.options)

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
        choice.make(make)
        return choice

    return Annotated[Choice, BeforeValidator(check), PlainSerializer(Choice.to_data)]
