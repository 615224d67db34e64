"""The one schema of everything that happens in a run.

Every event is a row: when it began, how long it took, whose it was, in which round, what it was,
how many bytes it moved, what it cost in energy. Metrics and figures are read from these rows alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, cast

import pandas as pd

from fsim.core.errors import OutputError, shown

SERVER = -1
"""The ``client`` of a row that belongs to the server."""


class Kind(StrEnum):
    """What a row tells of."""

    WAIT = "wait"
    """A selected client was not available yet."""
    DOWNLOAD = "download"
    """The client fetched the global adapter; bytes are the serialised adapter's."""
    COMPUTE = "compute"
    """The client trained."""
    UPLOAD = "upload"
    """The client sent its payload; bytes are what it sent."""
    RECEIVE = "receive"
    """The server received a payload; bytes are what arrived."""
    LOST = "lost"
    """A client was lost: from when it vanished until the server noticed; bytes are what it had sent
    in vain, details say why, and whether it was noticed by a reset or by silence."""
    DISCARDED = "discarded"
    """Bytes of an upload that were of no use although the client stayed: sent again later or twice,
    or in packets that did not arrive."""
    REJECTED = "rejected"
    """The server received an update that it could not use, or would not; details say why."""
    LATE = "late"
    """The server received an update too late to use it."""
    RADIO = "radio"
    """A promotion or a tail of the client's radio; details say which, and its seconds. It is beside
    what the client does, and so of no duration."""
    ROUND = "round"
    """A whole round of the server."""


RECORD_TYPES = {
    "time_s": "float64",
    "duration_s": "float64",
    "client": "int64",
    "round": "int64",
    "kind": "str",
    "bytes": "int64",
    "energy_j": "float64",
    "details": "str",
}
"""Column -> type of the records table."""

EVALUATION_TYPES = {
    "time_s": "float64",
    "round": "int64",
    "accuracy": "float64",
    "loss": "float64",
    "perplexity": "float64",
    "token_accuracy": "float64",
    "uplink_bytes": "int64",
    "downlink_bytes": "int64",
    "energy_j": "float64",
    "accuracy_by_label": "str",
}
"""Column -> type of the evaluations table; bytes and energy are totals up to that time."""


LARGEST = 1e18
"""Of seconds, joules, bytes and whatever else is told; what is larger is garbage."""

DEEPEST = 16
"""Objects and lists of details within each other."""


def details_of(text: str) -> dict[str, Any]:
    """What a record's ``details`` tell, nothing if they are empty.

    Raises
    ------
    OutputError
        They are no JSON object, or say of a payload or a capacity what is no number.
    """
    told = _object(text, "records.parquet: details")
    if not (_is_number(told.get("capacity", 0)) and _are_numbers(told.get("payload", {}))):
        raise OutputError(f"records.parquet: details: found {shown(text)}, allowed are numbers")
    return told


def labels_of(text: str) -> dict[str, float]:
    """Accuracy by label, as an evaluation's ``accuracy_by_label`` tells it; raises as above."""
    told = _object(text, "evaluations.parquet: accuracy_by_label")
    if not _are_numbers(told):
        raise OutputError(
            f"evaluations.parquet: accuracy_by_label: found {shown(text)}, allowed are numbers"
        )
    return told


def _object(text: str, where: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        told = json.loads(text)
        shallow = isinstance(told, dict) and _is_bounded(told, DEEPEST)
    except (ValueError, RecursionError):
        shallow = False
    if not shallow:
        raise OutputError(f"{where}: found {shown(text)}, allowed is a JSON object")
    return cast(dict[str, Any], told)


def _is_bounded(told: Any, depth: int) -> bool:
    if isinstance(told, dict | list):
        parts = told.values() if isinstance(told, dict) else told
        return depth > 0 and all(_is_bounded(part, depth - 1) for part in parts)
    return not isinstance(told, int) or abs(told) < 2**63


def _are_numbers(told: Any) -> bool:
    return isinstance(told, dict) and all(map(_is_number, told.values()))


def _is_number(told: Any) -> bool:
    return isinstance(told, int | float) and abs(told) <= LARGEST


_SIGNS = {Kind.UPLOAD: 1, Kind.RECEIVE: -1, Kind.LOST: -1, Kind.DISCARDED: -1}


class Recorder:
    """Collects the rows of one run, and keeps the running totals."""

    def __init__(self) -> None:
        self._records: list[tuple[Any, ...]] = []
        self._evaluations: list[tuple[Any, ...]] = []
        self.uplink_bytes = 0
        self.downlink_bytes = 0
        self.energy_j = 0.0

    def record(
        self,
        kind: Kind,
        time: float,
        duration: float,
        client: int,
        round_number: int,
        size: int = 0,
        energy: float = 0.0,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a row: seconds, seconds, client or :data:`SERVER`, round, bytes, joules."""
        if size < 0 or duration < 0 or energy < 0:
            raise ValueError(f"a {kind} of {duration} s, {size} bytes, {energy} J cannot be")
        if kind is Kind.UPLOAD:
            self.uplink_bytes += size
        if kind is Kind.DOWNLOAD:
            self.downlink_bytes += size
        self.energy_j += energy
        text = json.dumps(details, sort_keys=True) if details else ""
        self._records.append((time, duration, client, round_number, kind.value, size, energy, text))

    def evaluation(
        self,
        time: float,
        round_number: int,
        accuracy: float,
        loss: float,
        perplexity: float,
        token_accuracy: float = math.nan,
        by_label: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """Add an evaluation of the global adapter, with the totals so far, and return its row."""
        totals = (self.uplink_bytes, self.downlink_bytes, self.energy_j)
        labels = json.dumps(by_label, sort_keys=True, ensure_ascii=False) if by_label else ""
        row = (time, round_number, accuracy, loss, perplexity, token_accuracy, *totals, labels)
        self._evaluations.append(row)
        return dict(zip(EVALUATION_TYPES, row, strict=True))

    def totals(self) -> dict[str, Any]:
        """Bytes up and down, and joules, so far: the columns of an evaluation."""
        return {
            "uplink_bytes": self.uplink_bytes,
            "downlink_bytes": self.downlink_bytes,
            "energy_j": self.energy_j,
        }

    def records(self) -> pd.DataFrame:
        """All rows, in the order in which they were added."""
        return pd.DataFrame(self._records, columns=list(RECORD_TYPES)).astype(RECORD_TYPES)

    def evaluations(self) -> pd.DataFrame:
        """All evaluations, in the order of time."""
        frame = pd.DataFrame(self._evaluations, columns=list(EVALUATION_TYPES))
        return frame.astype(EVALUATION_TYPES)

    def unaccounted(self) -> dict[tuple[int, int], int]:
        """Bytes that a client has sent in a round and that nothing has become of yet.

        Returns
        -------
        dict
            (client, round) -> bytes, without those that balance.
        """
        sums: dict[tuple[int, int], int] = {}
        for row in self._records:
            if row[4] in _SIGNS:
                who = row[2], row[3]
                sums[who] = sums.get(who, 0) + _SIGNS[row[4]] * row[5]
        return {who: size for who, size in sums.items() if size}

    def check_conservation(self) -> None:
        """Bytes sent must be bytes received plus bytes lost.

        Raises
        ------
        RuntimeError
            They are not: a fault in the simulator.
        """
        totals = dict.fromkeys(Kind, 0)
        for row in self._records:
            totals[row[4]] += row[5]
        sent, received = totals[Kind.UPLOAD], totals[Kind.RECEIVE]
        lost = totals[Kind.LOST] + totals[Kind.DISCARDED]
        if sent != received + lost:
            raise RuntimeError(f"{sent} bytes sent, but {received} received and {lost} lost")
