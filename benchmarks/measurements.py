"""Measurements in ``benchmarks/measured``, and tables that put fsim's seconds beside them."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fsim.network import Capacity

MEASURED = Path(__file__).parent / "measured"
MBIT = 1e6 / 8

NOISE = 0.015
"""Seconds that a measurement on the busy machine is off by."""

Row = Mapping[str, str]


@dataclass
class Section:
    """A table of the page.

    Attributes
    ----------
    errors
        Seconds of fsim and measured, of each figure that is compared.
    """

    title: str
    text: str
    heads: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    errors: list[tuple[float, float]] = field(default_factory=list)

    def compare(self, seconds: float, measured: float) -> str:
        """A cell: fsim's seconds and how far they are from those measured."""
        self.errors.append((seconds, measured))
        mark = "" if right(seconds, measured) else " **"
        return f"{seconds:.3f} ({seconds / measured - 1:+.0%}){mark}"

    def summary(self) -> str:
        """One sentence on all errors."""
        if not self.errors:
            return ""
        shares = [abs(found / measured - 1) for found, measured in self.errors]
        within = sum(right(*pair) for pair in self.errors)
        return (
            f"{within} of {len(self.errors)} within 10% or {1000 * NOISE:.0f} ms; the error is "
            f"{statistics.median(shares):.1%} in the median, {max(shares):.0%} at the most."
        )

    def text_lines(self) -> Iterator[str]:
        """The section in Markdown."""
        yield from (f"## {self.title}", "", self.text, "")
        if summary := self.summary():
            yield from (summary, "")
        yield "| " + " | ".join(self.heads) + " |"
        yield "|" + "---|" * len(self.heads)
        for row in self.rows:
            yield "| " + " | ".join(row) + " |"
        yield ""


def right(seconds: float, measured: float) -> bool:
    """Whether a figure is within 10% or the noise of a measurement."""
    return abs(seconds - measured) <= max(NOISE, 0.1 * measured)


def read(name: str) -> list[Row]:
    """The rows of a measurement."""
    with (MEASURED / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_cubic(name: str) -> list[Row]:
    """Those of CUBIC, with which fsim is compared."""
    return [row for row in read(name) if row["congestion_control"] == "cubic"]


def grouped(rows: Iterable[Row], columns: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    """Rows by the values of some columns, in their order."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in columns), []).append(row)
    return groups


def medians(rows: Iterable[Row]) -> dict[str, float]:
    """Congestion control -> median seconds of its runs."""
    return {
        row["congestion_control"]: statistics.median(json.loads(row["seconds_by_run"]))
        for row in rows
    }


def link_of(row: Row) -> tuple[Capacity, float]:
    """The link of a measurement and its round trip, seconds."""
    return Capacity.constant(float(row["rate_mbit"]) * MBIT), float(row["round_trip_ms"]) / 1e3


def amount(size: str) -> str:
    """A payload as it is read best."""
    number = int(size)
    return f"{number / 1e6:g} MB" if number >= 1e6 else f"{number / 1e3:g} kB"


WAY = ("rate_mbit", "round_trip_ms", "payload_bytes")
