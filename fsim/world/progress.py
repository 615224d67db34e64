"""Where a run stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """Where a run stands after an evaluation."""

    round_number: int
    rounds: int
    simulated_s: float
    accuracy: float
    uplink_bytes: int

    @classmethod
    def of(cls, row: Mapping[str, Any], rounds: int) -> Progress:
        """From a row of the evaluations, of so many rounds."""
        return cls(row["round"], rounds, row["time_s"], row["accuracy"], row["uplink_bytes"])
