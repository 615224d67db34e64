"""FedScale's pickles of client capacity and client availability.

Lai et al., "FedScale: Benchmarking Model and System Performance of Federated Learning at Scale",
ICML 2022. Capacity: ``{id: {computation: ms a sample, communication: kbit/s}}``; FedScale divides
upload plus download by the one rate, so it is taken for either direction. Its ``computation`` is
the time of inference, which FedScale multiplies by 3 for training. Availability: ``{id: {active:
[s], inactive: [s], finish_time: s, ...}}``: available from ``active[i]`` to ``inactive[i]``, time
modulo ``finish_time``; intervals without length, which FedScale's clients have for an instant, are
left out. Pickles are read as :mod:`fsim.network.formats.plain_pickle` allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from fsim.core.errors import TraceError
from fsim.network.formats.base import Format
from fsim.network.formats.clients import (
    ClientRates,
    Intervals,
    by_client,
    constant,
    one_client,
)
from fsim.network.formats.pieces import Floats, Pieces
from fsim.network.formats.plain_pickle import read_plain_pickle
from fsim.network.formats.text import positive_or_zero, short


@dataclass(frozen=True)
class FedScale(Format):
    """The constant rate of one client of a FedScale capacity pickle.

    Attributes
    ----------
    client
        Which one; needed where there are several.
    """

    name: ClassVar[str] = "fedscale"
    beginning: ClassVar[re.Pattern[bytes] | None] = re.compile(rb"\x80[\x02-\x05]")

    client: str | int | None = None

    @override
    def read(self, path: Path) -> Pieces:
        clients = by_client(path, read_plain_pickle(path))
        name = one_client(path, clients, self.client)
        return constant(rates_of(f"{path}: client {name}", clients[name]).up)


def rates_of(where: str, value: Any) -> ClientRates:
    """One client's rates; see :func:`fsim.network.formats.read_client_rates`."""
    entry = _mapping(where, value, ("computation", "communication"))
    rate = positive_or_zero(f"{where}: communication", entry["communication"]) * (1e3 / 8)
    milliseconds = positive_or_zero(f"{where}: computation", entry["computation"])
    return ClientRates(up=rate, down=rate, seconds_per_sample=milliseconds / 1e3)


def intervals_of(where: str, value: Any) -> Intervals:
    """One client's availability; see :func:`fsim.network.formats.read_availability`."""
    entry = _mapping(where, value, ("active", "inactive", "finish_time"))
    starts, ends = (_times(f"{where}: {key}", entry[key]) for key in ("active", "inactive"))
    period = positive_or_zero(f"{where}: finish_time", entry["finish_time"])
    if len(starts) == len(ends):
        lasting = starts != ends
        starts, ends = starts[lasting], ends[lasting]
    return Intervals(starts, ends, period)


def _times(where: str, value: object) -> Floats:
    if not isinstance(value, list):
        raise TraceError(f"{where}: found {short(value)}, allowed is a list of seconds")
    return np.array([positive_or_zero(where, time) for time in value], dtype=np.float64)


def _mapping(where: str, value: Any, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict) or any(key not in value for key in keys):
        raise TraceError(f"{where}: found {short(value)}, allowed is a dict of {', '.join(keys)}")
    return value
