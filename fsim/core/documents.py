"""YAML and JSON from outside: read in bounded time and memory, and refused where ambiguous.

What is refused would otherwise be taken in silence for something else than is written (a key twice,
``1:30`` for 90, ``010`` for 8), or takes more than its size lets expect (references that grow, deep
nesting, endless files). Everything is refused with a ValueError of one line, which does not name
the file.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from fsim.core.errors import shown

LARGEST_SETTINGS = 2**20
"""Bytes of a scenario or a sweep file, and of a value on the command line."""

LARGEST_FILE = 2**26
"""Bytes of any other file of JSON."""

DEEPEST = 64
"""Mappings and lists within each other."""

MOST_PARTS = 200_000
"""Keys, values, mappings and lists in YAML; what a reference stands for counts wherever it does."""

LONGEST_NUMBER = 100
"""Characters of a number; longer ones are garbage, and slow to read."""

_TEXT = 64
"""Characters of a text that count as a part."""

_TAG = "tag:yaml.org,2002:"
_KINDS = frozenset(
    f"{_TAG}{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge")
)
_MERGE, _DATE = f"{_TAG}merge", f"{_TAG}timestamp"
_NUMBERS = (f"{_TAG}int", f"{_TAG}float")
_MISREAD = re.compile(r"[-+]?(?:0[0-7_]+|[^:]+:.*)")
"""Numbers to base 8 and base 60."""

# The reader in C is ten times as quick; PyYAML may have been built without it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_bytes(path: Path, most: int) -> bytes:
    """A file's content.

    Raises
    ------
    ValueError
        It is missing, unreadable, no regular file (a pipe never ends), or of more than ``most``
        bytes.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("found a device or a pipe, allowed is a file")
            content = bytearray()
            while len(content) <= most and (more := file.read(2**20)):
                content += more
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    if len(content) > most:
        raise ValueError(f"found more than the {most} bytes that are allowed")
    return bytes(content)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe without waiting for somebody who writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_text(path: Path, most: int) -> str:
    """A file's content as UTF-8, without a byte-order mark; raises as :func:`read_bytes`."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not a text file ({error.reason})") from None


def parse_json(text: str) -> Any:
    """A JSON value, of which no object has a key twice.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for at, key in enumerate(keys) if key in keys[:at])
        raise ValueError(f"found the key {shown(twice)} twice in an object")
    return value


def parse_yaml(text: str, most: int = MOST_PARTS, *, references: bool = True) -> Any:
    """A YAML value made of mappings, lists, texts, numbers, truth values and nothing.

    Parameters
    ----------
    most
        Parts that there may be, see :data:`MOST_PARTS`.
    references
        Whether a part may stand for another one.

    Raises
    ------
    ValueError
        It is none, is too large or nested too deep, has a key or an anchor twice, a date, or a
        number that YAML takes for another one than people do.
    """
    try:
        # What follows goes as deep as the nesting: that is known first.
        for event in _counted(text, most):
            if isinstance(event, yaml.AliasEvent) and not references:
                raise ValueError("found a reference (*), allowed are none")
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _check(loader, root)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"not YAML: {error.problem or error.context}{place}") from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise ValueError(f"not YAML: {error}") from None


@dataclass
class _Open:
    """A mapping or list that has begun, and the parts in it so far."""

    anchor: str | None
    parts: int = 1


@dataclass
class _Count:
    """Count of the parts of a document so far."""

    open: list[_Open] = field(default_factory=lambda: [_Open(None, 0)])
    anchors: dict[str, int | None] = field(default_factory=dict)
    """Anchor -> the parts it stands for, None while it is open."""


def _counted(text: str, most: int) -> Iterator[yaml.Event]:
    """The events of a text, as long as they are allowed."""
    count = _Count()
    for event in yaml.parse(text, Loader=_Loader):
        match event:
            case yaml.AliasEvent():
                if event.anchor in count.anchors:
                    parts = count.anchors[event.anchor]
                    if parts is None:
                        raise ValueError(f"found a reference *{event.anchor} to what it is in")
                    count.open[-1].parts += parts
            case yaml.ScalarEvent():
                parts = 1 + len(event.value) // _TEXT
                _anchor(count, event.anchor, parts)
                count.open[-1].parts += parts
            case yaml.CollectionStartEvent():
                _anchor(count, event.anchor, None)
                count.open.append(_Open(event.anchor))
                if len(count.open) > DEEPEST:
                    raise ValueError(f"nested too deep, allowed are {DEEPEST} mappings and lists")
            case yaml.CollectionEndEvent():
                closed = count.open.pop()
                if closed.anchor is not None:
                    count.anchors[closed.anchor] = closed.parts
                count.open[-1].parts += closed.parts
        if count.open[-1].parts > most:
            raise ValueError(f"found more than {most} keys and values, references counted in full")
        yield event


def _anchor(count: _Count, name: str | None, parts: int | None) -> None:
    if name is None:
        return
    if name in count.anchors:
        raise ValueError(f"found the anchor &{name} twice")
    count.anchors[name] = parts


def _check(loader: Any, root: yaml.Node) -> None:
    """Refuse what would be taken for something else than is written."""
    nodes, ids = [root], set()
    while nodes:
        node = nodes.pop()
        if id(node) in ids:
            continue
        ids.add(id(node))
        _check_kind(node)
        if isinstance(node, yaml.MappingNode):
            _check_keys(loader, node)
            nodes += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value


def _check_kind(node: yaml.Node) -> None:
    place = f"in line {node.start_mark.line + 1}"
    if node.tag == _DATE:
        raise ValueError(
            f"not YAML as allowed here: found the date {shown(node.value)} {place}; "
            "a text is in quotes"
        )
    if node.tag not in _KINDS:
        tag = shown(node.tag.removeprefix(_TAG))
        raise ValueError(
            f"not YAML as allowed here: found a {tag} {place}, allowed are mappings, lists, "
            "texts and numbers"
        )
    # A number's tag can stand before anything.
    if node.tag in _NUMBERS:
        value = cast(str, node.value)
        if len(value) > LONGEST_NUMBER:
            raise ValueError(
                f"found a number of {len(value)} characters {place}, allowed are {LONGEST_NUMBER}"
            )
        if _MISREAD.fullmatch(value):
            raise ValueError(
                f"found {shown(value)} {place}, which YAML takes for a number to base 8 or 60; "
                "allowed are decimal numbers, and texts in quotes"
            )


def _check_keys(loader: Any, node: yaml.MappingNode) -> None:
    keys: set[Any] = set()
    for key, _ in node.value:
        place = f"in line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError(f"found a mapping or list as a key {place}, allowed is a text")
        _check_kind(key)
        # As it is compared with others: 1 and 1.0 are one key.
        value = _MERGE if key.tag == _MERGE else loader.construct_object(key)
        if value in keys:
            raise ValueError(f"found the key {shown(key.value)} twice {place}")
        keys.add(value)
