"""A set of uploads over one shared link, as a file says it.

JSON or YAML, one mapping::

    backhaul_bytes_per_s: 1.25e+6      # what all share
    flows:
      - bytes: 1000000                 # a constant link of its own
        start_s: 0
        capacity_bytes_per_s: 125000
      - bytes: 5000000                 # or one that changes: [from second, bytes/s], begun again
        start_s: 2.5                   # every period_s seconds, on the clock of the simulation
        profile: [[0, 125000], [2, 375000]]
        period_s: 4

``finish_s``, known finishes to compare with, may stand beside ``flows`` and is not read. YAML takes
1e6 for text; a dot and a sign, 1.0e+6, make it a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from fsim.core.documents import parse_json, parse_yaml, read_text
from fsim.core.errors import ScenarioError, TraceError, shown
from fsim.core.validation import explain
from fsim.network.links.capacity import Capacity
from fsim.network.sharing.uploads import Flow

MAX_BYTES = 64 * 2**20
"""The largest file that is read."""

MOST_PARTS = 2_000_000
"""Keys and values of a file in YAML; JSON is read much faster."""

Amount = Annotated[float, Field(ge=0, le=1e18)]
"""Bytes, bytes/s or seconds; no more than what sums of them stay exact enough with."""


@dataclass(frozen=True)
class Uploads:
    """Flows and links, as :func:`fsim.network.sharing.uploads.finish_times` takes them."""

    flows: tuple[Flow, ...]
    links: tuple[Capacity, ...]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _step(value: object) -> object:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"found {shown(value)}, allowed is [second, bytes/s]")
    return value


class _FlowSpec(_Strict):
    bytes: Amount
    start_s: Amount
    capacity_bytes_per_s: Amount | None = None
    profile: list[Annotated[list[Amount], BeforeValidator(_step)]] | None = None
    period_s: Amount | None = None

    @model_validator(mode="after")
    def _one_link(self) -> _FlowSpec:
        keys = [
            name
            for name in ("capacity_bytes_per_s", "profile", "period_s")
            if getattr(self, name) is not None
        ]
        if keys not in (["capacity_bytes_per_s"], ["profile", "period_s"]):
            raise ValueError(
                f"found {' and '.join(keys) or 'no link'}, allowed is either "
                "capacity_bytes_per_s, or profile and period_s"
            )
        if self.profile == []:
            raise ValueError("profile: found no steps, allowed is one or more")
        return self

    def capacity(self) -> Capacity:
        if self.capacity_bytes_per_s is not None:
            return Capacity.constant(self.capacity_bytes_per_s)
        assert self.profile is not None
        assert self.period_s is not None
        return Capacity(
            [start for start, _ in self.profile],
            [rate for _, rate in self.profile],
            self.period_s,
            past_end="loop",
        )


class _Spec(_Strict):
    backhaul_bytes_per_s: Amount
    flows: list[_FlowSpec]
    finish_s: Any = None


def load_uploads(path: Path) -> Uploads:
    """Read a set of uploads from a file.

    Parameters
    ----------
    path
        JSON, or if it is not that, YAML.

    Raises
    ------
    ScenarioError
        In one line: the file, the key path, what was found and what is allowed.
    """
    return check_uploads(_parse(path), str(path))


def check_uploads(data: object, origin: str) -> Uploads:
    """Check a set of uploads given as nested mappings; see :func:`load_uploads`."""
    if not isinstance(data, Mapping):
        kind = "a list" if isinstance(data, list) else "no mapping"
        keys = ", ".join(_Spec.model_fields)
        raise ScenarioError(f"{origin}: found {kind}, allowed is one mapping with the keys {keys}")
    try:
        spec = _Spec.model_validate(dict(data))
    except ValidationError as error:
        raise ScenarioError(f"{origin}: {explain(error, _Spec)}") from None
    flows = []
    for number, flow in enumerate(spec.flows):
        try:
            flows.append(Flow(flow.start_s, flow.bytes, flow.capacity()))
        except TraceError as error:
            raise ScenarioError(f"{origin}: flows.{number}.profile: {error}") from None
    return Uploads(tuple(flows), (Capacity.constant(spec.backhaul_bytes_per_s),))


def _parse(path: Path) -> object:
    try:
        text = read_text(path, MAX_BYTES)
        try:
            return parse_json(text)
        except ValueError as error:
            if path.suffix.lower() == ".json":
                raise ValueError(f"not JSON: {error}") from None
        return parse_yaml(text, MOST_PARTS, references=False)
    except ValueError as error:
        raise ScenarioError(f"{path}: {error}") from None
