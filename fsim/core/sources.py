"""Classes described by themselves: their source, and the meaning of their options."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

REQUIRED: Final = "required"
"""In place of a default, where there is none."""

_SECTION = re.compile(r"^(?:Attributes|Parameters)\n-+\n", re.MULTILINE)
_NEXT_SECTION = re.compile(r"^\w[\w ]*\n-+\n", re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_ELSEWHERE = re.compile(r"See :class:`~?([\w.]+)\.(\w+)`")


def source_of(kind: type) -> str:
    """The source that a class rests on: its module's, or where that is a notebook its own."""
    with suppress(OSError, TypeError):
        return inspect.getsource(inspect.getmodule(kind) or kind)
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    parts = [repr([(field.name, field.default) for field in fields])]
    for thing in vars(kind).values():
        with suppress(OSError, TypeError):
            parts.append(inspect.getsource(thing))
    return "".join(parts)


@dataclass(frozen=True)
class Option:
    """An option of a registered class.

    Attributes
    ----------
    default
        As YAML has it, or :data:`REQUIRED`.
    meaning
        As the docstring tells it, in one line; empty where it does not.
    """

    name: str
    default: str
    meaning: str


def options_of(kind: type) -> tuple[Option, ...]:
    """The options of a dataclass: its fields, explained by its docstring or a base's."""
    meanings: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        meanings |= _meanings(each.__doc__ or "")
    return tuple(
        Option(field.name, _default(field), _meaning(field.name, meanings))
        for field in dataclasses.fields(kind)
        if field.init
    )


def summary_of(kind: Any) -> str:
    """The first line of a docstring, without its full stop."""
    text = kind.__doc__ or ""
    if text.startswith(f"{kind.__name__}("):  # what a dataclass without one is given
        return ""
    return _plain(inspect.cleandoc(text).split("\n")[0]).rstrip(".")


def _meaning(name: str, meanings: dict[str, str]) -> str:
    """An option's meaning in plain words, looked up where the docstring only says where it is."""
    text = meanings.get(name, "")
    if there := _ELSEWHERE.match(text):
        other = getattr(importlib.import_module(there[1]), there[2])
        text = _meanings(other.__doc__)[name]
    return _plain(text)


def _plain(text: str) -> str:
    """A docstring's text without its marks."""
    return _ROLE.sub(r"\1", text).replace("``", "").strip()


def _meanings(docstring: str) -> dict[str, str]:
    """Name -> text, of a docstring's section ``Attributes`` or ``Parameters``."""
    text = inspect.cleandoc(docstring)
    begin = _SECTION.search(text)
    if begin is None:
        return {}
    rest = text[begin.end() :]
    following = _NEXT_SECTION.search(rest)
    meanings: dict[str, list[str]] = {}
    names: list[str] = []
    for line in rest[: following.start() if following else len(rest)].splitlines():
        if line and not line[0].isspace():
            names = [name.strip() for name in line.split(":")[0].split(",")]
            meanings |= {name: [] for name in names}
        else:
            for name in names:
                meanings[name] += line.split()
    return {name: " ".join(words) for name, words in meanings.items()}


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return REQUIRED
    return _as_yaml(value)


def _as_yaml(value: Any) -> str:
    """A value as a scenario has it, where True is ``true``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = dataclasses.asdict(value).items()
        return f"{{{', '.join(f'{name}: {_as_yaml(each)}' for name, each in pairs)}}}"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
