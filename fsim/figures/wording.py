"""Sizes, times and long names as figures write them."""

from __future__ import annotations

import re
import textwrap


def time_scale(longest: float) -> tuple[float, str]:
    """Seconds of the unit in which such a time is written, and the unit."""
    units = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"))
    return next(((f, u) for f, u in units if longest > 3 * f), (1.0, "s"))


def byte_scale(largest: float) -> tuple[float, str]:
    """Bytes of the unit in which such a size is written, and the unit."""
    units = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    return next(((f, u) for f, u in units if largest > 2 * f), (1.0, "B"))


def wrapped(name: str, width: int) -> str:
    """A name on several lines if it is long, broken after spaces, colons, commas and the like."""
    lines = [""]
    for part in re.split(r"(?<=[ :,/-])", name):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    broken = [piece for line in lines for piece in textwrap.wrap(line, width)]
    return "\n".join(broken) or "(empty)"
