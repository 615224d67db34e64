"""Reading the files that traces come in: text, numbers and JSON, with an error for anything else.

What a file can cost is bounded by its size: readers use time and memory in proportion to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fsim.core import documents
from fsim.core.errors import TraceError

LARGEST_FILE = 64 * 2**20
"""Bytes. Python's objects take up to some 20 times as much; hours of a recording fit."""


LARGEST_NUMBER = 1e18
"""Of seconds, bytes/s or whatever else; what is larger is garbage, and overflows somewhere."""


def read_bytes(path: Path) -> bytes:
    """The whole file.

    Raises
    ------
    TraceError
        It is missing, unreadable, or larger than :data:`LARGEST_FILE`.
    """
    try:
        if not path.is_file():
            raise TraceError(f"{path}: no such trace file")
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise TraceError(f"{path}: found {size} bytes, allowed are {LARGEST_FILE}")
        return documents.read_bytes(path, LARGEST_FILE)
    except (OSError, ValueError) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from None


def read_text(path: Path) -> str:
    """The whole file as UTF-8.

    Raises
    ------
    TraceError
        As :func:`read_bytes`, or it is not text.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: not a text file ({error.reason})") from None


def numbered_lines(path: Path, comments: str = "#") -> Iterator[tuple[int, str]]:
    """The lines that are neither empty nor comments, each with its number from 1."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        stripped = line.strip()
        if stripped and stripped[0] not in comments:
            yield number, stripped


def short(value: object) -> str:
    """Text of a value in a few words: texts and numbers as they are, anything else by its kind."""
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a very large number"
    if not isinstance(value, str | int | float | None):
        # Writing out a hostile list could take longer than reading it did.
        return f"a {type(value).__name__}"
    text = repr(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def decimal(text: str) -> float:
    """A number as files have it; Python's own reading would let 1_000 and other scripts pass.

    Raises
    ------
    ValueError
        It is none.
    """
    if not text.isascii() or "_" in text:
        raise ValueError(f"found {short(text)}, not a number")
    return float(text)


def fields(path: Path, number: int, line: str, count: int, what: str) -> list[float]:
    """The numbers of one line, separated by white space.

    Raises
    ------
    TraceError
        There are not ``count`` of them, or one is not finite.
    """
    try:
        values = [decimal(part) for part in line.split(maxsplit=count)]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise TraceError(f"{path}:{number}: found {short(line)}, allowed is {what}")
    return values


def read_json(path: Path) -> Any:
    """The file's JSON value.

    Raises
    ------
    TraceError
        As :func:`read_text`, or it is not JSON, too deeply nested, or has a key twice.
    """
    try:
        return documents.parse_json(read_text(path))
    except ValueError as error:
        raise TraceError(f"{path}: not a JSON file: {error}") from None


def positive_or_zero(where: str, value: object) -> float:
    """A number of 0 or more, not absurdly large, from a file that is not text line by line.

    Raises
    ------
    TraceError
        Naming ``where``.
    """
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        number = math.inf
    if isinstance(value, bool) or not 0 <= number <= LARGEST_NUMBER:
        raise TraceError(
            f"{where}: found {short(value)}, allowed is a number, 0 to {LARGEST_NUMBER:g}"
        )
    return number
