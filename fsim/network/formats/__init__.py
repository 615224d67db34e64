"""Readers and writers of capacity trace files, one format a module.

A format is a frozen dataclass, its fields being its options, with ``read(path)`` and, where it can
be written, ``write(pieces, path)``. Pieces are ``(starts, rates, duration)``: seconds, bytes/s,
seconds, with ``starts[0] == 0`` and each rate holding from its start to the next. Anything else in
a file is a ``TraceError`` with the file and the place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fsim.core.errors import TraceError
from fsim.core.registry import Registry
from fsim.network.formats import fedscale, flash
from fsim.network.formats.base import Format, WritableFormat
from fsim.network.formats.clients import (
    ClientRates,
    Intervals,
    Invalid,
    by_client,
    intervals_of_clients,
)
from fsim.network.formats.cooked import Cooked
from fsim.network.formats.detect import detect, is_pickle
from fsim.network.formats.fedscale import FedScale
from fsim.network.formats.flash import FlashSpeed
from fsim.network.formats.generic_csv import GenericCsv
from fsim.network.formats.gnettrack import GNetTrack
from fsim.network.formats.hsdpa import Hsdpa
from fsim.network.formats.iperf3 import Iperf3
from fsim.network.formats.mahimahi import Mahimahi
from fsim.network.formats.pieces import Pieces, checked
from fsim.network.formats.plain_pickle import read_plain_pickle
from fsim.network.formats.simgrid import SimGrid
from fsim.network.formats.tc_script import TcScript
from fsim.network.formats.text import read_json

__all__ = [
    "FORMATS",
    "ClientRates",
    "Format",
    "Intervals",
    "Pieces",
    "WritableFormat",
    "read_availability",
    "read_client_rates",
    "read_trace",
    "write_trace",
]


FORMATS: Registry[Format] = Registry(
    "format",
    Format,
    "fsim.network.formats.Format",
    (
        GenericCsv,
        Mahimahi,
        Cooked,
        Hsdpa,
        GNetTrack,
        Iperf3,
        TcScript,
        SimGrid,
        FedScale,
        FlashSpeed,
    ),
)
"""Name -> format."""


def read_trace(path: Path, format: str | None = None, **options: Any) -> Pieces:  # noqa: A002
    """The pieces of a capacity trace.

    Parameters
    ----------
    path
        The file.
    format
        A name in :data:`FORMATS`; by the file's suffix or first bytes if not given, where these
        allow one only.
    options
        The format's own.

    Returns
    -------
    Pieces
        Start times (seconds), rates (bytes/s), duration (seconds); neighbours of equal rate are
        one piece.

    Raises
    ------
    TraceError
        The file is missing, of an unknown kind, or not a trace; or the format has no such option.
    """
    name = format or detect(path, FORMATS)
    # Numbers too large to reckon with are found by the check of what comes out.
    with np.errstate(over="ignore", invalid="ignore"):
        pieces = _make(path, name, options).read(path)
    return checked(path, pieces)


def write_trace(pieces: Pieces, path: Path, format: str, **options: Any) -> None:  # noqa: A002
    """Write a capacity trace; what the format cannot hold exactly, its module says.

    Raises
    ------
    TraceError
        The pieces are no staircase, the format cannot be written or cannot hold them, or it has no
        such option; or the place cannot be written.
    """
    writer = _make(path, format, options)
    if not isinstance(writer, WritableFormat):
        writable = [name for name, kind in FORMATS.items() if issubclass(kind, WritableFormat)]
        raise TraceError(
            f"{path}: found {format}, which is only read; written are {', '.join(writable)}"
        )
    if math.isinf(pieces[2]):
        raise TraceError(f"{path}: found a trace that lasts for ever, allowed is one that ends")
    try:
        writer.write(checked(path, pieces), path)
    except OSError as error:
        raise TraceError(f"{path}: cannot be written: {error.strerror or error}") from None


def read_client_rates(path: Path) -> dict[str, ClientRates]:
    """Rates of many clients, from FedScale's capacity pickle or FLASH's speed JSON.

    Returns
    -------
    dict
        Client, by its name in the file as a text -> rates, bytes/s, and seconds a sample.

    Raises
    ------
    TraceError
        The file is missing, or neither of these.
    """
    form, clients = _of_many_clients(path)
    return {name: form.rates_of(f"{path}: client {name}", value) for name, value in clients.items()}


def read_availability(path: Path, invalid: Invalid = "error") -> dict[str, Intervals]:
    """Read when many clients are available, from FedScale's pickle or FLASH's state JSON.

    Parameters
    ----------
    path
        The file.
    invalid
        What is done with a client whose entry cannot be used: ``"error"``, or ``"drop"`` it, as
        FLASH does.

    Returns
    -------
    dict
        Client, by its name in the file as a text -> intervals in seconds.

    Raises
    ------
    TraceError
        The file is missing, or neither of these, or a client's entry cannot be used.
    """
    form, clients = _of_many_clients(path)
    return intervals_of_clients(path, clients, form.intervals_of, invalid)


def _of_many_clients(path: Path) -> tuple[ModuleType, Mapping[str, Any]]:
    """The format of a file that tells of many clients, and what it tells of each."""
    if is_pickle(path):
        return fedscale, by_client(path, read_plain_pickle(path))
    return flash, by_client(path, read_json(path))


def _make(path: Path, name: str, options: dict[str, Any]) -> Format:
    try:
        return FORMATS.make(name, options)
    except ValueError as error:
        raise TraceError(f"{path}: {error}") from None
