r"""FLASH's JSON files of client speed and client state.

Yang et al., "Characterizing Impacts of Heterogeneity in Federated Learning upon Large-Scale
Smartphone Data", WWW 2021. Speed: ``{id: {down_u, down_sigma, up_u, up_sigma}}``, mean and standard
deviation in KiB/s (FLASH divides bytes by 1024); FLASH draws a rate for each transfer from that
normal distribution, a capacity of one client is its mean.

State: ``{id: {messages: "YYYY-mm-dd HH:MM:SS<TAB>EVENT\n..."}}``. A client is available while
charging, in a wifi, and with its screen off or locked; before its first event it is none of these.
Time counts from the first event and begins again at the last one. FLASH forgets an interval that
the last event leaves open; here it lasts until that event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

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
from fsim.network.formats.pieces import Pieces
from fsim.network.formats.text import positive_or_zero, read_json, short

_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1)
_BATTERY = re.compile(r"\d{1,3}(?:\.\d+)?%", re.ASCII)
_EVENTS: dict[str, tuple[str, bool]] = {
    "battery_charged_on": ("charging", True),
    "battery_charged_off": ("charging", False),
    "wifi": ("wifi", True),
    **dict.fromkeys(("unknown", "2g", "3g", "4g", "5g"), ("wifi", False)),
    "screen_off": ("screen_off", True),
    "screen_on": ("screen_off", False),
    "screen_lock": ("locked", True),
    "screen_unlock": ("locked", False),
}
"""Event -> what it changes, and to what. Battery levels (``87%``) change nothing."""


@dataclass(frozen=True)
class FlashSpeed(Format):
    """The mean rate of one client of FLASH's speed file.

    Attributes
    ----------
    client
        Which one; needed where there are several.
    direction
        Of the rate.
    """

    name: ClassVar[str] = "flash"
    beginning: ClassVar[re.Pattern[bytes] | None] = re.compile(
        rb'\s*\{\s*"[^"]{1,100}"\s*:\s*\{\s*"(?:up|down)_(?:u|sigma)"\s*:'
    )

    client: str | int | None = None
    direction: Literal["up", "down"] = "up"

    @override
    def read(self, path: Path) -> Pieces:
        clients = by_client(path, read_json(path))
        name = one_client(path, clients, self.client)
        rates = rates_of(f"{path}: client {name}", clients[name])
        return constant(rates.up if self.direction == "up" else rates.down)


def rates_of(where: str, value: Any) -> ClientRates:
    """One client's rates; see :func:`fsim.network.formats.read_client_rates`."""
    keys = ("up_u", "down_u", "up_sigma", "down_sigma")
    if not isinstance(value, dict):
        raise TraceError(
            f"{where}: found {short(value)}, allowed is an object of {', '.join(keys)}"
        )
    return ClientRates(
        *(positive_or_zero(f"{where}: {key}", value.get(key)) * 1024 for key in keys)
    )


def intervals_of(where: str, value: Any) -> Intervals:
    """One client's availability; see :func:`fsim.network.formats.read_availability`."""
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, str):
        raise TraceError(f"{where}: found {short(messages)}, allowed is an object with messages")
    state = dict.fromkeys(("charging", "wifi", "screen_off", "locked"), False)
    first = now = since = None
    starts: list[float] = []
    ends: list[float] = []
    for message in messages.split("\n"):
        if not message.strip():
            continue
        time, event = _event(where, message.strip())
        first = time if first is None else first
        if now is not None and time < now:
            raise TraceError(f"{where}: found {short(message)} after a later time")
        now = time
        if event is not None:
            state[event[0]] = event[1]
        idle = state["screen_off"] or state["locked"]
        available = idle and state["charging"] and state["wifi"]
        if available and since is None:
            since = now
        elif not available and since is not None:
            starts.append(since)
            ends.append(now)
            since = None
    if first is None or now is None or now == first:
        raise TraceError(f"{where}: found no two events at different times, so no period")
    if since is not None:
        starts.append(since)
        ends.append(now)
    begin, end = np.array(starts) - first, np.array(ends) - first
    lasting = begin != end
    return Intervals(begin[lasting], end[lasting], now - first)


def _event(where: str, message: str) -> tuple[float, tuple[str, bool] | None]:
    stamp, _, event = message.partition("\t")
    event = event.strip().lower()
    valid = event in _EVENTS or _BATTERY.fullmatch(event) is not None
    try:
        if not valid or _STAMP.fullmatch(stamp.strip()) is None:
            raise ValueError
        time = (datetime.fromisoformat(stamp.strip()) - _EPOCH).total_seconds()
    except ValueError:
        raise TraceError(
            f"{where}: found {short(message)}, allowed are YYYY-mm-dd HH:MM:SS, a tab, and one of "
            f"{', '.join(_EVENTS)}, or a battery level"
        ) from None
    return time, _EVENTS.get(event)
