"""Quantities as people write them: ``20 Mbit/s``, ``80 ms``, ``2 W``.

Decimal prefixes are powers of 1000 (1 Mbit is 10^6 bit), binary ones (``KiB``) powers of 1024, and
nothing is guessed: a number without a unit, or with an unknown one, is refused.
"""

from __future__ import annotations

import math
import re
from typing import Final, cast

from fsim.core.errors import shown

_RATES: Final = {
    **{f"{p}bit/s": f / 8 for p, f in (("", 1), ("k", 1e3), ("M", 1e6), ("G", 1e9))},
    **{f"{p}B/s": f for p, f in (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9))},
    **{f"{p}B/s": f for p, f in (("Ki", 2.0**10), ("Mi", 2.0**20), ("Gi", 2.0**30))},
}
UNITS: Final[dict[str, dict[str, float]]] = {
    "rate": _RATES,
    "duration": {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0},
    "power": {"mW": 1e-3, "W": 1.0},
    "size": {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12},
}
"""Dimension -> unit -> its size in the base unit: bytes/s, seconds, watts, bytes."""

BASE_UNITS: Final = {"rate": "B/s", "duration": "s", "power": "W", "size": "B"}
"""Dimension -> the unit that values are kept in."""

LONGEST: Final = 100
"""Characters of a quantity."""

_QUANTITY = re.compile(r"\s*(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>.*)")


def parse_quantity(text: object, dimension: str) -> float:
    """A quantity in the base unit of its dimension.

    Parameters
    ----------
    text
        Number and unit, for example ``"20 Mbit/s"``. A bare number is refused.
    dimension
        ``"rate"`` (bytes/s), ``"duration"`` (seconds), ``"power"`` (watts) or ``"size"`` (bytes).

    Raises
    ------
    ValueError
        Not a number with a unit of that dimension, negative, or not finite. The message says what
        was found and what is allowed.
    """
    allowed = UNITS[dimension]
    hint = f"a {dimension} with a unit: {', '.join(allowed)}"
    readable = isinstance(text, str) and len(text) <= LONGEST and text.isascii()
    match = _QUANTITY.fullmatch(cast(str, text)) if readable else None
    if match is None or match["unit"].strip() not in allowed:
        raise ValueError(f"found {shown(text)}, allowed is {hint}")
    value = float(match["number"]) * allowed[match["unit"].strip()]
    if value < 0 or not math.isfinite(value):
        raise ValueError(f"found {shown(text)}, a {dimension} cannot be negative or infinite")
    return value


def format_bytes(count: float) -> str:
    """Bytes with a decimal prefix and three significant digits: ``1.23 MB``."""
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(count) >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} B"


def format_duration(seconds: float) -> str:
    """Seconds as ``82.1 s``, ``3.4 min``, ``2.6 h`` or ``7.0 d``."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 4 * 86400 else f"{seconds / 86400:.1f} d"
