"""Telling a trace's format from its name or its first bytes, where only one fits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fsim.core.errors import TraceError
from fsim.network.formats.base import Format

_BEGINNING = 4096
"""Bytes that are looked at."""


def detect(path: Path, formats: Mapping[str, type[Format]]) -> str:
    """The name of the one format that a file can be of, by its beginning, or else its suffix.

    Raises
    ------
    TraceError
        The file is missing, or could be of several; the message says how to name one.
    """
    begins = _beginning(path)
    fitting = [n for n, f in formats.items() if f.beginning and f.beginning.match(begins)]
    fitting = fitting or _of_suffix(path, formats)
    if len(fitting) != 1:
        raise TraceError(
            f"{path}: cannot tell its format from its name or beginning; say which, as in "
            f"--format cooked; allowed are {', '.join(fitting or formats)}"
        )
    return fitting[0]


def format_of_suffix(path: Path, formats: Mapping[str, type[Format]]) -> str:
    """The name of the format that a file to be written is meant to be of.

    Raises
    ------
    TraceError
        Its suffix does not tell; the message says how to name one.
    """
    fitting = _of_suffix(path, formats)
    if len(fitting) != 1:
        raise TraceError(
            f"{path}: cannot tell the format to write from its name; say which, as in --to cooked"
        )
    return fitting[0]


def _of_suffix(path: Path, formats: Mapping[str, type[Format]]) -> list[str]:
    return [name for name, kind in formats.items() if path.suffix in kind.suffixes]


def is_pickle(path: Path) -> bool:
    """Tell a pickle from JSON by its beginning: no JSON of clients begins as a pickle does.

    Raises
    ------
    TraceError
        The file is missing.
    """
    return _beginning(path).lstrip()[:1] not in (b"{", b"[", b"")


def _beginning(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise TraceError(f"{path}: no such trace file")
        with path.open("rb") as file:
            return file.read(_BEGINNING)
    except (OSError, ValueError) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from None
