"""Base classes of trace formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from re import Pattern
from typing import ClassVar

from pydantic import ConfigDict

from fsim.network.formats.pieces import Pieces


class Format(ABC):
    """A format that capacity traces can be read from.

    A format is a frozen dataclass; its fields are its options, each with a default and, in the
    docstring, its meaning. Its module says how what the files leave open is answered.

    Attributes
    ----------
    name
        As the command line has it.
    suffixes
        Of file names that are of this format, their dot included.
    beginning
        How a file of it, and of no other, begins: what is tried before its suffix.
    """

    # An unknown option is an error, as everywhere in a scenario.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    beginning: ClassVar[Pattern[bytes] | None] = None

    @abstractmethod
    def read(self, path: Path) -> Pieces:
        """The pieces of the trace in a file.

        Raises
        ------
        TraceError
            The file is missing, or not of this format.
        """


class WritableFormat(Format):
    """One that capacity traces can be written to as well."""

    @abstractmethod
    def write(self, pieces: Pieces, path: Path) -> None:
        """Write a staircase that ends, its neighbours of different rates.

        Raises
        ------
        TraceError
            The format cannot hold it.
        """
