"""Distributions as people write them: ``lognormal(1.5 Mbit/s, 0.8)``, or a plain quantity."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import cast

import numpy as np

from fsim.core.errors import shown
from fsim.core.units import parse_quantity

KINDS = {
    "uniform": "uniform(LOW, HIGH)",
    "lognormal": "lognormal(MEDIAN, SIGMA of the logarithm)",
    "exponential": "exponential(MEAN)",
}
"""Kind -> how it is written."""

WIDEST = 10.0
"""The largest sigma of a lognormal law, at which one draw in 40 is above 10^8 medians."""

LONGEST = 250
"""Characters of a law."""

_CALL = re.compile(r"\s*(?P<kind>[a-z]+)\s*\((?P<arguments>[^()]*)\)\s*")


@dataclass(frozen=True)
class Distribution:
    """A distribution of a quantity in base units (bytes/s, seconds, watts).

    Attributes
    ----------
    kind
        ``"constant"`` or one of :data:`KINDS`.
    parameters
        As written, quantities in base units.
    """

    kind: str
    parameters: tuple[float, ...]

    @classmethod
    def parse(cls, text: object, dimension: str) -> Distribution:
        """Read ``"20 Mbit/s"`` or ``"lognormal(1.5 Mbit/s, 0.8)"``.

        Raises
        ------
        ValueError
            Saying what was found and what is allowed.
        """
        readable = isinstance(text, str) and len(text) <= LONGEST
        match = _CALL.fullmatch(cast(str, text)) if readable else None
        if match is None:
            return cls("constant", (parse_quantity(text, dimension),))
        kind = match["kind"]
        if kind not in KINDS:
            raise ValueError(
                f"found {shown(text)}, allowed are a quantity, {', '.join(KINDS.values())}"
            )
        arguments = [part.strip() for part in match["arguments"].split(",")]
        if len(arguments) != (1 if kind == "exponential" else 2):
            raise ValueError(f"found {shown(text)}, allowed is {KINDS[kind]}")
        if kind == "lognormal":
            try:
                sigma = float(arguments[1])
            except ValueError:
                sigma = math.nan
            if not 0 <= sigma <= WIDEST:
                raise ValueError(
                    f"found {shown(text)}, SIGMA is a number of 0 to {WIDEST:g}, without a unit"
                )
            return cls(kind, (parse_quantity(arguments[0], dimension), sigma))
        values = tuple(parse_quantity(argument, dimension) for argument in arguments)
        if kind == "uniform" and values[0] > values[1]:
            raise ValueError(f"found {shown(text)}, LOW must not exceed HIGH")
        return cls(kind, values)

    def text(self, unit: str) -> str:
        """As :meth:`parse` reads it, quantities in a base unit."""
        if self.kind == "constant":
            return f"{self.parameters[0]!r} {unit}"
        units = ("", f" {unit}")
        arguments = [
            f"{value!r}{units[not (self.kind == 'lognormal' and at == 1)]}"
            for at, value in enumerate(self.parameters)
        ]
        return f"{self.kind}({', '.join(arguments)})"

    def draw(self, rng: np.random.Generator) -> float:
        """One value in base units."""
        if self.kind == "constant":
            return self.parameters[0]
        if self.kind == "uniform":
            low, high = self.parameters
            return float(rng.uniform(low, high))
        if self.kind == "lognormal":
            median, sigma = self.parameters
            return float(median * math.exp(sigma * rng.standard_normal()))
        return float(rng.exponential(self.parameters[0]))

    @property
    def quantities(self) -> tuple[float, ...]:
        """The parameters that are amounts, in base units: all but a sigma."""
        return self.parameters[:1] if self.kind == "lognormal" else self.parameters

    @property
    def always_zero(self) -> bool:
        """True when every draw is 0."""
        return self.parameters[-1 if self.kind == "uniform" else 0] == 0
