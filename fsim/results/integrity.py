"""Checks of a saved run: a damaged or foreign file is refused, not misread.

What is not as it must be is refused with a ValueError of one line, which does not name the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fsim.core.errors import shown
from fsim.core.validation import explain
from fsim.records import LARGEST, SERVER, Kind
from fsim.results.metrics import Metrics

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Word = Annotated[str, Field(max_length=1000)]


class _Facts(BaseModel):
    """Those that tables and figures are made of; there may be any others."""

    billed_bytes_factor: Number = 1.0
    billed_operations_factor: Number = 1.0
    batteries_j: dict[
        Annotated[str, Field(pattern=r"^[0-9]{1,18}$")], Annotated[Number, Field(gt=0)]
    ] = {}
    labels_in_no_shard: list[Any] | None = None
    items_skipped: dict[str, Any] | None = None


class _Summary(BaseModel):
    model_config = ConfigDict(strict=True)

    label: Word
    name: Word
    status: Word
    failure: str | None = None
    task: Word
    metric: Word
    target: Annotated[float, Field(gt=0, le=1)]
    metrics: dict[str, Number | None]
    facts: _Facts = _Facts()
    versions: dict[Word, Word] = {}


_CHECKED: TypeAdapter[_Summary] = TypeAdapter(_Summary)

_RESERVED = frozenset(("run", "policy", "seed", "folder", "series", *_Summary.model_fields))


def check_summary(summary: Mapping[str, Any]) -> None:
    """Refuse a summary of which tables cannot be made."""
    try:
        _CHECKED.validate_python(dict(summary))
    except ValidationError as error:
        raise ValueError(explain(error, _Summary)) from None
    for metric in fields(Metrics):
        if metric.name not in summary["metrics"]:
            raise ValueError(f"metrics.{metric.name}: is missing")
    for key in summary.get("facts", {}):
        if key in _RESERVED or key in summary["metrics"]:
            raise ValueError(f"facts: found {shown(key)}, which is told elsewhere")


def check_records(table: pd.DataFrame) -> None:
    """Refuse records that cannot have happened."""
    _check_range(table, ("time_s", "duration_s", "bytes", "energy_j"), 0)
    _check_range(table, ("round",), -1)
    _check_range(table, ("client",), SERVER, 2**31)
    _check_texts(table, ("kind", "details"))
    valid = table["kind"].isin([kind.value for kind in Kind])
    if not valid.all():
        value = table["kind"][~valid].iloc[0]
        raise ValueError(f"kind: found {shown(value)}, allowed are {', '.join(Kind)}")


def check_evaluations(table: pd.DataFrame) -> None:
    """Refuse evaluations that cannot have been made; a loss may be anything, if it diverged."""
    if table.empty:
        raise ValueError("found no evaluation, allowed are one or more")
    _check_range(table, ("time_s", "round", "uplink_bytes", "downlink_bytes", "energy_j"), 0)
    _check_range(table, ("accuracy",), 0, 1)
    _check_texts(table, ("accuracy_by_label",))


def _check_texts(table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    for column in columns:
        if table[column].isna().any():
            raise ValueError(f"{column}: found nothing, allowed is text, which may be empty")


def _check_range(
    table: pd.DataFrame, columns: tuple[str, ...], least: float, most: float = LARGEST
) -> None:
    for column in columns:
        values = table[column].to_numpy()
        wrong = ~((values >= least) & (values <= most))  # of NaN as well
        if wrong.any():
            at = int(np.argmax(wrong))
            raise ValueError(
                f"{column}: found {values[at]:g} in row {at}, allowed is {least:g} to {most:g}"
            )
