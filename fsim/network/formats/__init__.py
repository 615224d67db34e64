"""Readers of capacity trace files, one format a module.

A reader takes a path and returns ``(starts, rates, duration)``: seconds, bytes/s, seconds, with
``starts[0] == 0`` and each rate holding from its start to the next. It raises ``TraceError`` with
the file and the line for anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fsim.errors import TraceError
from fsim.network.formats import generic_csv

Pieces = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]

FORMATS: dict[str, Callable[[Path], Pieces]] = {".csv": generic_csv.read}
"""File name suffix -> reader."""


def read_trace(path: Path) -> Pieces:
    """The pieces of a capacity trace, by the reader for the file's suffix.

    Raises
    ------
    TraceError
        The file is missing, of an unknown kind, or not a trace.
    """
    reader = FORMATS.get(path.suffix)
    if reader is None:
        raise TraceError(
            f"{path}: found a trace file ending in {path.suffix!r}, allowed are "
            f"{', '.join(FORMATS)}"
        )
    if not path.is_file():
        raise TraceError(f"{path}: no such trace file")
    return reader(path)
