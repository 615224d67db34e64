"""Templates that make texts of a row's fields: ``{question}``, ``{context[contexts]}``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

from fsim.core.errors import ScenarioError

Row = Mapping[str, Any]


class Column:
    """Path of a text in a row: ``column``, ``column[key]``, ``column.key``, ``column[0]``."""

    _WHOLE = re.compile(r"[^.\[\]{}]+(?:\.[^.\[\]{}]+|\[[^\[\]{}]+\])*")
    _STEP = re.compile(r"[^.\[\]]+")

    def __init__(self, name: str, option: str) -> None:
        if not self._WHOLE.fullmatch(name):
            raise ValueError(
                f"{option}: found {name!r}, allowed are column, column[key], column.key, column[0]"
            )
        self.name = name
        self.steps = self._STEP.findall(name)

    def text(self, row: Row, place: str) -> str:
        """Text of the row at this path; empty where there is nothing."""
        value: Any = row
        for step in self.steps:
            if isinstance(value, Mapping):
                if step not in value:
                    raise ScenarioError(missing_field(place, step, list(value)))
                value = value[step]
            elif isinstance(value, list):
                if not re.fullmatch("[0-9]{1,9}", step):
                    raise ScenarioError(
                        f"{place}: {self.name}: found a list, of which [{step}] is no number"
                    )
                value = value[int(step)] if int(step) < len(value) else None
            elif value is not None:
                raise ScenarioError(
                    f"{place}: {self.name}: found {type(value).__name__}, which has no {step!r}"
                )
        return self._as_text(value, place)

    def _as_text(self, value: object, place: str) -> str:
        if isinstance(value, str):
            return value
        if value is None or value != value:  # null, or not a number
            return ""
        if isinstance(value, list):
            return "\n".join(self._as_text(item, place) for item in value)
        if isinstance(value, Mapping):
            raise ScenarioError(
                f"{place}: {self.name}: found several texts, allowed is one of "
                f"{', '.join(f'{self.name}[{key}]' for key in value)}"
            )
        if isinstance(value, bytes):
            raise ScenarioError(f"{place}: {self.name}: found bytes, allowed is text")
        return str(value)


class Template:
    """Text with ``{column}`` in it.

    Filled by walking mappings and lists, never by ``str.format``, which would follow attributes of
    whatever it is given.

    Raises
    ------
    ValueError
        Anything else in braces, or a brace alone.
    """

    def __init__(self, text: str, option: str) -> None:
        self._parts: list[tuple[str, Column | None]] = []
        self.columns: dict[str, Column] = {}
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"{option}: {error}; a brace itself is written twice") from None
        for before, name, spec, conversion in parsed:
            column = None
            if name is not None:
                if spec or conversion:
                    raise ValueError(
                        f"{option}: found a format or conversion after {name!r}, allowed is "
                        f"{{{name}}} alone"
                    )
                column = self.columns.setdefault(name, Column(name, option))
            self._parts.append((before, column))

    def fill(self, row: Row, place: str) -> str:
        """The text with a row's values in it."""
        return "".join(
            before + ("" if column is None else column.text(row, place))
            for before, column in self._parts
        )


def missing_field(place: str, name: str, columns: Sequence[str]) -> str:
    """Message on a field that a row does not have."""
    return f"{place}: no column {name!r}, found {', '.join(map(str, columns)) or 'none'}"
