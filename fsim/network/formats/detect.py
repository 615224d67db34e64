"""Telling a trace's format from its name or its first bytes, where only one fits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fsim.core.errors import TraceError

_SUFFIXES = {".up": "mahimahi", ".down": "mahimahi", ".mahi": "mahimahi", ".sh": "tc"}

_CONTENTS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("fedscale", re.compile(rb"\x80[\x02-\x05]")),
    ("iperf3", re.compile(rb'\s*\{\s*"start"\s*:')),
    ("flash", re.compile(rb'\s*\{\s*"[^"]{1,100}"\s*:\s*\{\s*"(?:up|down)_(?:u|sigma)"\s*:')),
    ("simgrid", re.compile(rb"(?:\s*[#%][^\n]*\n)*(?:PERIODICITY|LOOPAFTER)\s")),
    ("gnettrack", re.compile(rb"(?:\xef\xbb\xbf)?Timestamp,[^\n]*\bDL_bitrate\b")),
)
"""Format -> how a file of it, and of no other, begins."""

_BEGINNING = 4096
"""Bytes that are looked at."""


def detect(path: Path, formats: Sequence[str]) -> str:
    """The name of the one format that a file can be of.

    Raises
    ------
    TraceError
        The file is missing, or could be of several; the message says how to name one.
    """
    begins = _beginning(path)
    if path.suffix in _SUFFIXES:
        return _SUFFIXES[path.suffix]
    for name, pattern in _CONTENTS:
        if pattern.match(begins):
            return name
    if path.suffix == ".csv":
        return "csv"
    raise TraceError(
        f"{path}: cannot tell its format from its name or beginning; say which, as in "
        f"--format cooked; allowed are {', '.join(formats)}"
    )


def format_of_suffix(path: Path) -> str:
    """The name of the format that a file to be written is meant to be of.

    Raises
    ------
    TraceError
        Its suffix does not tell; the message says how to name one.
    """
    suffixes = {**_SUFFIXES, ".csv": "csv"}
    if path.suffix not in suffixes:
        raise TraceError(
            f"{path}: cannot tell the format to write from its name; say which, as in --to cooked"
        )
    return suffixes[path.suffix]


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
