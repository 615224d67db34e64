"""The cells of a sweep: every combination of the values that its keys take, each checked."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import has_magic, iglob
from pathlib import Path
from typing import Any

from fsim.core.documents import parse_yaml
from fsim.core.errors import ScenarioError, shown
from fsim.core.registry import parse_choice
from fsim.core.validation import repeated
from fsim.settings.loading import (
    LoadedScenario,
    ScenarioLike,
    as_loaded,
    as_override,
    plain_data,
)

POLICY = "compression.policy"
"""The key whose values bring options of their own, and so replace the whole section."""

MOST_CELLS = 100_000

_NAME_LENGTH = 60
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True)
class Value:
    """One of the values that a key takes: as people read it, and as the scenario has it."""

    text: str
    data: Any

    @property
    def plain(self) -> Any:
        """For tables: numbers, words and truth as they are, anything else as text."""
        return self.data if isinstance(self.data, str | int | float | bool) else self.text


@dataclass(frozen=True)
class Axis:
    """A key by its dotted path, and the values that it takes."""

    key: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Cell:
    """One combination of values.

    Attributes
    ----------
    values
        Key -> its value here.
    loaded
        The scenario with them, checked.
    name
        Of its folder: the values in short, and a digest of all settings.
    """

    values: dict[str, Value]
    loaded: LoadedScenario
    name: str

    @property
    def policy(self) -> str | None:
        """The policy as it was asked for, with its options; None if it is not swept."""
        value = self.values.get(POLICY) or self.values.get("compression")
        return None if value is None else value.text

    def __str__(self) -> str:
        return ", ".join(f"{_short(key)}={each.text}" for key, each in self.values.items())


def split_values(text: str) -> list[str]:
    """Split at the commas that are in no brackets, braces, parentheses or quotes.

    Raises
    ------
    ScenarioError
        Brackets or quotes that do not match.
    """
    parts, open_, quote, begin = [], [], "", 0
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in _OPENING:
            open_.append(_CLOSING[_OPENING.index(character)])
        elif character in _CLOSING:
            if not open_ or open_.pop() != character:
                raise ScenarioError(
                    f"--over: found {shown(text)}, with a {character} nothing opens"
                )
        elif character == "," and not open_:
            parts.append(text[begin:at])
            begin = at + 1
    if quote or open_:
        raise ScenarioError(
            f"--over: found {shown(text)}, without the closing {quote or open_[-1]}"
        )
    return [part.strip() for part in (*parts, text[begin:])]


def parse_axis(text: str, folders: Sequence[Path]) -> Axis:
    """Read ``key.path=value,value,...`` as the command line has it.

    Parameters
    ----------
    text
        Values are YAML, a pattern such as ``traces/*.csv``, or for ``compression.policy``
        ``NAME:OPTION=VALUE``.
    folders
        Where the files of a pattern are looked for, in this order.

    Raises
    ------
    ScenarioError
        No key, no value, a value that is not YAML, or a pattern that nothing matches.
    """
    key, equals, values = text.partition("=")
    if not equals or not key.strip():
        raise ScenarioError(f"--over: found {shown(text)}, allowed is key.path=value,value,...")
    key = key.strip()
    cells = [each for part in split_values(values) for each in _parse(key, part, folders)]
    return _axis(key, cells)


def make_axis(key: str, values: Any, folders: Sequence[Path]) -> Axis:
    """A key and the values that it takes, as a sweep file or Python has them.

    Parameters
    ----------
    key
        By its dotted path.
    values
        A list, range or array of what YAML can express; a pattern stands for its files.
    folders
        As in :func:`parse_axis`.

    Raises
    ------
    ScenarioError
        No list, no value, one twice, or a pattern that nothing matches.
    """
    values = plain_data(values)
    if not isinstance(values, list):
        raise ScenarioError(f"--over {key}: found {shown(values)}, allowed is a list of values")
    return _axis(key, [each for value in values for each in _values(key, value, folders)])


def _axis(key: str, cells: Sequence[Value]) -> Axis:
    if not cells:
        raise ScenarioError(f"--over {key}: found no value, allowed is one or more")
    if twice := repeated(value.text for value in cells):
        raise ScenarioError(f"--over {key}: found {twice} twice")
    return Axis(key, tuple(cells))


def make_cells(
    scenario: ScenarioLike, overrides: Sequence[str], axes: Sequence[Axis]
) -> list[Cell]:
    """Every combination of the values, the last key's changing fastest.

    Parameters
    ----------
    scenario
        As :func:`fsim.settings.loading.as_loaded` takes it.
    overrides
        ``key.path=value`` each; the cells' own values come after them.
    axes
        Keys that are all different.

    Raises
    ------
    ScenarioError
        A key twice, too many cells, or one that cannot be run as it is: which, which key, what was
        found and what is allowed.
    """
    keys = [axis.key for axis in axes]
    each_once(keys)
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST_CELLS:
        raise ScenarioError(f"--over: found {count} cells, allowed are {MOST_CELLS}")
    cells: dict[str, Cell] = {}
    for number, values in enumerate(itertools.product(*(axis.values for axis in axes)), 1):
        values_by_key = dict(zip(keys, values, strict=True))
        cell = _cell(scenario, overrides, values_by_key, f"{number} of {count}")
        digest = cell.name.rpartition("-")[2]
        if digest in cells:
            raise ScenarioError(
                f"{name_of(scenario)}: the cells {cells[digest]} and {cell} are the same scenario"
            )
        cells[digest] = cell
    return list(cells.values())


def name_of(scenario: ScenarioLike) -> str:
    """The name of a scenario in errors and ``sweep.json``: its path, or else its own name."""
    if isinstance(scenario, LoadedScenario):
        return scenario.scenario.name
    if isinstance(scenario, Mapping):
        return str(scenario.get("name", "scenario"))
    return os.fspath(scenario)


def each_once(keys: Sequence[str]) -> None:
    """Refuse a key that is swept twice."""
    if key := repeated(keys):
        raise ScenarioError(f"--over {key}: found twice, allowed are all its values together")


def _cell(
    scenario: ScenarioLike, overrides: Sequence[str], values: dict[str, Value], which: str
) -> Cell:
    own = [_override(key, values[key].data) for key in sorted(values, key=_depth)]
    label = ", ".join(f"{key}={value.text}" for key, value in values.items())
    try:
        loaded = as_loaded(scenario, [*overrides, *own])
    except ScenarioError as error:
        raise ScenarioError(f"cell {which} ({label}): {error}") from None
    return Cell(values, loaded, _name(values, loaded))


def _depth(key: str) -> int:
    """A section comes before the keys in it, whatever the order in which they are given."""
    return 1 if key == POLICY else key.count(".") + 1


def _override(key: str, data: Any) -> str:
    if key == POLICY and isinstance(data, dict):
        return as_override("compression", data)
    return as_override(key, data)


def _name(values: Mapping[str, Value], loaded: LoadedScenario) -> str:
    settings = json.dumps(loaded.scenario.model_dump(mode="json"), sort_keys=True)
    digest = hashlib.sha256(settings.encode()).hexdigest()[:10]
    parts = []
    for key, value in values.items():
        text = Path(value.text).stem if key.endswith((".trace", ".path")) else value.text
        parts.append(f"{_short(key)}={text}")
    words = re.sub(r"[^A-Za-z0-9._=+-]+", "-", "_".join(parts)).strip("-.")
    return f"{words[:_NAME_LENGTH]}-{digest}"


def _parse(key: str, text: str, folders: Sequence[Path]) -> Iterator[Value]:
    if not text:
        raise ScenarioError(f"--over {key}: found an empty value")
    if _is_pattern(text) or key == POLICY:
        yield from _values(key, text, folders)
        return
    try:
        yield _value(key, parse_yaml(text))
    except ValueError as error:
        raise ScenarioError(
            f"--over {key}: found {shown(text)}, which is not a YAML value: {error}"
        ) from None


def _is_pattern(text: str) -> bool:
    return has_magic(text) and text.lstrip()[0] not in "[{\"'"


def _values(key: str, data: Any, folders: Sequence[Path]) -> Iterator[Value]:
    if isinstance(data, str) and _is_pattern(data):
        yield from (Value(name, name) for name in _matching(key, data, folders))
    else:
        yield _value(key, data)


def _value(key: str, data: Any) -> Value:
    if isinstance(data, str) and key == POLICY:
        name, options = parse_choice(f"--over {key}", data)
        return Value(data, {"policy": name, **options})
    if isinstance(data, dict) and key in (POLICY, "compression") and "policy" in data:
        words = [f"{option}={value}" for option, value in data.items() if option != "policy"]
        return Value(":".join([str(data["policy"]), *words]), data)
    return Value(data if isinstance(data, str) else as_override("", data)[1:], data)


def _matching(key: str, pattern: str, folders: Sequence[Path]) -> list[str]:
    """Files in the first folder that has any, by name, as the scenario is to name them."""
    for folder in folders:
        # No more than could be swept: a pattern can stand for a whole disk.
        matches = iglob(pattern, root_dir=folder, recursive=True)
        if paths := sorted(itertools.islice(matches, MOST_CELLS + 1)):
            return paths
    raise ScenarioError(f"--over {key}: found no file {pattern}, here or beside or above the file")


def _short(key: str) -> str:
    return key.rpartition(".")[2]
