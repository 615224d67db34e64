"""Shell scripts of ``tc`` and ``sleep`` lines (tc(8), tc-netem(8), tc-tbf(8), sleep(1)).

``rate`` on a ``tc`` line sets the rate, ``sleep N`` lets it last. Units as in tc(8), whatever the
case: ``mbit`` is 10^6 bit/s, ``mbps`` is 10^6 BYTES/s, ``mibit`` and ``mibps`` go by 1024, a bare
number is bit/s. ``loss 100%`` without a rate is an outage. Other ``tc`` lines (delays, filters,
queues) do not change the capacity; loss below 100% and delays are a scenario's transport and round
trip. Between ``tc qdisc del`` and the next rate nobody knows the capacity, so no ``sleep`` may
stand there. Any other line than ``tc``, ``sleep``, a comment or ``true`` is refused: a script with
variables or loops would have to be run to know what it does.

Written scripts use ``netem``, with ``loss 100%`` for outages, because a rate of 0 is no limit. The
kernel keeps whole bytes/s, so that rates below 1 byte/s are refused and others lose their fraction
when the script is run; the text, read again, has lost nothing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fsim.core.errors import TraceError
from fsim.network.formats.base import WritableFormat
from fsim.network.formats.pieces import Pieces
from fsim.network.formats.text import numbered_lines, short

_SI = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_IEC = {"ki": 2.0**10, "mi": 2.0**20, "gi": 2.0**30, "ti": 2.0**40}
RATE_UNITS = {
    "": 1 / 8,
    **{f"{prefix}bit": factor / 8 for prefix, factor in {**_SI, **_IEC}.items()},
    **{f"{prefix}bps": factor for prefix, factor in {**_SI, **_IEC}.items()},
}
"""Unit of tc(8), in lower case -> bytes/s."""

SLEEP_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Suffix of sleep(1) -> seconds."""

_NUMBER = r"(\d{1,40}(?:\.\d{0,340})?(?:[eE][+-]?\d{1,2})?|\.\d{1,340})"
_RATE = re.compile(_NUMBER + r"([a-zA-Z]*)", re.ASCII)
_SLEEP = re.compile(r"sleep\s+" + _NUMBER + r"([smhd]?)", re.ASCII)


@dataclass(frozen=True)
class TcScript(WritableFormat):
    """Lines of ``tc ... rate 4mbit`` and ``sleep 3``.

    Attributes
    ----------
    dev
        The device whose rates are meant; needed where a script sets those of several. In a written
        script, ``eth0`` if not given.
    last
        Seconds for which a rate lasts that no ``sleep`` follows.
    """

    name: ClassVar[str] = "tc"
    suffixes: ClassVar[tuple[str, ...]] = (".sh",)

    dev: str | None = None
    last: float | None = None

    def __post_init__(self) -> None:
        if self.last is not None and not self.last > 0:
            raise ValueError(f"last: found {self.last:g}, allowed is more than 0 s")
        if self.dev is not None and re.fullmatch(r"[\w.@-]{1,15}", self.dev, re.ASCII) is None:
            raise ValueError(f"dev: found {self.dev!r}, allowed is the name of a network device")

    @override
    def read(self, path: Path) -> Pieces:
        steps: list[tuple[float, float]] = []
        now, device = 0.0, self.dev
        for number, line in numbered_lines(path):
            words = line.split("#")[0].removeprefix("sudo ").split()
            if words[:1] == ["tc"]:
                rate, on = _tc_rate(path, number, words), _after(words, "dev")
                if rate is None or (self.dev is not None and on != self.dev):
                    continue
                if device is not None and on != device:
                    raise TraceError(
                        f"{path}:{number}: found rates of {device} and {on}; dev= says which"
                    )
                device = on or ""
                if steps and steps[-1][0] == now:
                    steps.pop()
                steps.append((now, rate))
            elif words[:1] == ["sleep"]:
                if not steps or math.isinf(steps[-1][1]):
                    raise TraceError(f"{path}:{number}: found a sleep while no rate is set")
                now += _sleep(path, number, " ".join(words))
            elif words not in (["true"], []):
                raise TraceError(
                    f"{path}:{number}: found {short(line)}, allowed are tc and sleep lines"
                )
        return self._pieces(path, steps, now)

    def _pieces(self, path: Path, steps: list[tuple[float, float]], now: float) -> Pieces:
        if steps and math.isinf(steps[-1][1]):
            steps = steps[:-1]
        if not steps:
            whom = f" for {self.dev}" if self.dev else ""
            raise TraceError(f"{path}: found no tc line with a rate{whom}")
        if now == steps[-1][0]:
            if self.last is None:
                raise TraceError(
                    f"{path}: found no sleep after the last rate; last=SECONDS says for how long "
                    "it holds"
                )
            now += self.last
        starts, rates = zip(*steps, strict=True)
        return np.array(starts), np.array(rates), now

    @override
    def write(self, pieces: Pieces, path: Path) -> None:
        starts, rates, duration = pieces
        slow = rates[(rates > 0) & (rates < 1)]
        if len(slow):
            raise TraceError(
                f"{path}: found a rate of {slow[0]:g} bytes/s, allowed for tc are 0, and 1 or more"
            )
        lengths = np.diff(np.append(starts, duration)).tolist()
        lines = ["#!/bin/sh"]
        for rate, length in zip(rates.tolist(), lengths, strict=True):
            what = f"rate {_plain(rate * 8)}bit" if rate else "loss 100%"
            lines += [
                f"tc qdisc replace dev {self.dev or 'eth0'} root netem {what}",
                f"sleep {_plain(length)}",
            ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _plain(value: float) -> str:
    """All digits of a number, without an exponent, which not every sleep(1) reads."""
    return np.format_float_positional(value, trim="-")


def _tc_rate(path: Path, number: int, words: list[str]) -> float | None:
    """Bytes/s that a tc line sets, inf where it ends the shaping, None if it does neither."""
    if words[1:3] in (["qdisc", "del"], ["qdisc", "delete"]):
        return math.inf
    text = _after(words, "rate")
    if text is None:
        return 0.0 if _after(words, "loss") == "100%" else None
    rate = parse_rate(text)
    if rate is None or rate <= 0:
        raise TraceError(
            f"{path}:{number}: found a rate of {short(text)}, allowed is a number above 0 with a "
            f"unit of tc: {', '.join(unit for unit in RATE_UNITS if unit)}, or none for bit/s"
        )
    ceil = _after(words, "ceil")
    if ceil is not None and parse_rate(ceil) != rate:
        raise TraceError(
            f"{path}:{number}: found rate {short(text)} and ceil {short(ceil)}, allowed is one rate"
        )
    return rate


def parse_rate(text: str) -> float | None:
    """Bytes/s of a rate as tc writes it, ``4mbit``; None if it is none."""
    match = _RATE.fullmatch(text)
    if match is None or match[2].lower() not in RATE_UNITS:
        return None
    return float(match[1]) * RATE_UNITS[match[2].lower()]


def _after(words: list[str], key: str) -> str | None:
    at = words.index(key) if key in words else len(words)
    return words[at + 1] if at + 1 < len(words) else None


def _sleep(path: Path, number: int, line: str) -> float:
    match = _SLEEP.fullmatch(line)
    if match is None:
        raise TraceError(
            f"{path}:{number}: found {short(line)}, allowed is sleep and a number of seconds, "
            "or one with s, m, h or d"
        )
    return float(match[1]) * SLEEP_UNITS[match[2]]
