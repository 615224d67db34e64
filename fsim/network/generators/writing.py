"""Making a trace and writing it as generic CSV, its making told in its first lines."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from fsim.core.errors import TraceError
from fsim.core.files import whole_file
from fsim.core.rng import stream
from fsim.network.generators.measure import measure
from fsim.network.generators.profiles import PROFILES, Profile
from fsim.network.generators.scores import Floats

MAX_SECONDS = 1_000_000
"""Longest trace that is made: 11 days, 20 MB."""

RATES = (0.00005, 1e6)
"""Mbit/s: what a row can tell from an outage, and more than any link has."""


def generate(profile: Profile, seconds: int, seed: int) -> Floats:
    """Rates of consecutive seconds, Mbit/s, shape (seconds,).

    Raises
    ------
    TraceError
        Fewer than 2 seconds or more than :data:`MAX_SECONDS`, too few for the profile's outages,
        a negative seed, or rates outside outages that are not within :data:`RATES`.
    """
    if not 2 <= seconds <= MAX_SECONDS:
        raise TraceError(f"found {seconds} seconds, allowed are 2 to {MAX_SECONDS}")
    if seed < 0:
        raise TraceError(f"found seed {seed}, allowed is 0 or more")
    rates = profile.generator.rates(seconds, stream(seed, f"trace.{profile.source}"))
    up = rates[rates != 0]
    if not np.all((up > RATES[0]) & (up < RATES[1])):
        raise TraceError(
            f"found rates of {np.min(up, initial=math.inf):g} to {np.max(up, initial=0):g} Mbit/s "
            f"outside outages, allowed is above {RATES[0]:g} to below {RATES[1]:g} Mbit/s"
        )
    if not len(up):
        raise TraceError("found no second with any capacity, allowed is at least one")
    return rates


def trace_text(profile: Profile, command: str, seconds: int, seed: int) -> str:
    """The file of a trace; ``command`` and what it was made from go to its first lines."""
    rates = generate(profile, seconds, seed)
    lines = [
        f"# made by: {command} --seed {seed} --seconds {seconds}",
        f"# statistics: {profile.source}: {profile.published.text()}",
        *([f"# {profile.note}"] if profile.note else []),
        f"# this trace: {measure(rates).text(profile.published)}",
        "time_s,rate_kbit_s",
        *(f"{second},{rate * 1000:.1f}" for second, rate in enumerate(rates)),
    ]
    return "\n".join(lines) + "\n"


def write_csv(name: str, seconds: int, seed: int, path: Path) -> None:
    """Make the trace of a named profile and write it.

    Raises
    ------
    TraceError
        As :func:`generate`.
    OutputError
        The file cannot be written.
    """
    command = f"python -m fsim.network.generators {name}"
    save(trace_text(PROFILES[name], command, seconds, seed), path)


def save(text: str, path: Path) -> None:
    """Write a trace whole, or say in one line why not."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
