"""Reading pickles from outside: plain containers, numbers and texts, and nothing else.

Unpickling runs what the pickle says (the Python manual's warning of :mod:`pickle`), so of the
machine's instructions only those are left that make and fill dicts, lists, texts and numbers.
Nothing can be imported or called; tuples and sets, whose hashes can be made to overflow the stack,
are not needed. What a pickle makes is counted, so that a small file cannot fill the memory; its
whole numbers have 64 bits, for any number of longer ones can have one hash, by which a dict of them
is looked up one after another; and what it remembers cannot be told more often than it has bytes.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from fsim.core.errors import TraceError
from fsim.network.formats.text import read_bytes

MOST_THINGS = 5_000_000
"""Containers, texts and remembered things in a pickle; FedScale's largest makes some 2 million."""

MOST_INSTRUCTIONS = 20_000_000
"""A few for each thing."""

LARGEST_INTEGER = 2**63 - 1

DEEPEST = 64
"""Open containers within each other."""

_ALLOWED = (
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE",
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "STRING", "BINSTRING", "SHORT_BINSTRING",
    "EMPTY_DICT", "EMPTY_LIST", "DICT", "LIST", "APPEND", "APPENDS", "SETITEM", "SETITEMS",
    "GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE",
)  # fmt: skip
_MAKES = frozenset(
    name
    for name in _ALLOWED
    if name.endswith(("DICT", "LIST", "PUT", "MEMOIZE", "MARK"))
    or "UNICODE" in name
    or "STRING" in name
)

_INTEGERS = frozenset(("INT", "LONG", "LONG1", "LONG4"))


class _Refused(Exception):
    """An instruction, or an amount, that is not allowed."""


# The one in Python, not the one in C: that one's table of remembered things grows to any index
# that a pickle names, and its instructions cannot be taken away.
class _PlainUnpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Callable[..., None]]] = {}
    stack: list[Any]
    memo: dict[int, Any]
    readline: Callable[[], bytes]

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self.containers = self.instructions = 0

    def find_class(self, module: str, name: str) -> Any:
        raise _Refused(f"{module}.{name}")

    def step(self) -> None:
        self.instructions += 1
        if self.instructions > MOST_INSTRUCTIONS:
            raise _Refused(f"more than {MOST_INSTRUCTIONS} instructions")

    def count(self) -> None:
        self.containers += 1
        if self.containers > MOST_THINGS:
            raise _Refused(f"more than {MOST_THINGS} containers and texts")
        if len(getattr(self, "metastack", ())) > DEEPEST:
            raise _Refused(f"containers more than {DEEPEST} deep")


def _stepping(load: Callable[..., None]) -> Callable[..., None]:
    def stepping(unpickler: _PlainUnpickler) -> None:
        unpickler.step()
        load(unpickler)

    return stepping


def _counted(load: Callable[..., None]) -> Callable[..., None]:
    def counting(unpickler: _PlainUnpickler) -> None:
        unpickler.step()
        unpickler.count()
        load(unpickler)

    return counting


def _integer(load: Callable[..., None]) -> Callable[..., None]:
    def reading(unpickler: _PlainUnpickler) -> None:
        unpickler.step()
        load(unpickler)
        if abs(unpickler.stack[-1]) > LARGEST_INTEGER:
            raise _Refused("a whole number of more than 64 bits")

    return reading


def _remembered(unpickler: _PlainUnpickler) -> None:
    """PUT, whose place is a text of any length."""
    unpickler.step()
    unpickler.count()
    place = int(unpickler.readline()[:-1])
    if not 0 <= place < 2**32:
        raise _Refused("a thing remembered at a place beyond 32 bits")
    unpickler.memo[place] = unpickler.stack[-1]


def _refuse(code: int) -> Callable[..., None]:
    names = {getattr(pickle, name): name for name in pickle.__all__ if name.isupper()}
    name = names.get(bytes([code]), f"0x{code:02x}")

    def refusing(unpickler: _PlainUnpickler) -> None:
        raise _Refused(f"the instruction {name}")

    return refusing


def _dispatch() -> dict[int, Callable[..., None]]:
    table: dict[int, Callable[..., None]] = {code: _refuse(code) for code in range(256)}
    for name in _ALLOWED:
        code = getattr(pickle, name)[0]
        load = pickle._Unpickler.dispatch[code]
        kind = _counted if name in _MAKES else _integer if name in _INTEGERS else _stepping
        table[code] = kind(load)
    table[pickle.PUT[0]] = _remembered
    return table


_PlainUnpickler.dispatch = _dispatch()


def _list_values(content: Any) -> int:
    """Values that there are to read in the lists of all clients, one that is shared each time."""
    if not isinstance(content, dict):
        return 0
    clients = (client for client in content.values() if isinstance(client, dict))
    return sum(
        len(value) for client in clients for value in client.values() if isinstance(value, list)
    )


def read_plain_pickle(path: Path) -> Any:
    """Read a pickle of plain things.

    Raises
    ------
    TraceError
        The file is missing, too large, no pickle, or one of anything but dicts, lists, texts,
        numbers, booleans and None.
    """
    content = read_bytes(path)
    try:
        value = _PlainUnpickler(content).load()
        if _list_values(value) > len(content):
            raise _Refused("lists that are told of many clients")
        return value
    except _Refused as error:
        raise TraceError(
            f"{path}: found {error} in the pickle, allowed are plain dicts, lists, texts and "
            "numbers"
        ) from None
    except MemoryError:
        raise TraceError(f"{path}: the pickle asks for more memory than there is") from None
    # Damaged bytes fail in as many ways as there are instructions.
    except Exception as error:
        kind = type(error).__name__
        raise TraceError(f"{path}: not a pickle, or a damaged one ({kind})") from None
