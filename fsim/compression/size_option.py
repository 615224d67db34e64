"""The option of a policy that governs how long its payloads are."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class SizeOption:
    """The option that governs how long a policy's payloads are: more of it is more bytes.

    Attributes
    ----------
    names
        One option; or several shares of a whole, which keep their proportions.
    least, most
        Values that may be tried; of several, what their sum may be.
    whole_from
        From here on only whole numbers are allowed.
    """

    names: tuple[str, ...]
    least: float
    most: float
    whole_from: float = math.inf

    def between(self, low: float, high: float) -> float:
        """Half-way in the logarithm, to an allowed value."""
        middle = math.sqrt(low * high)
        return float(round(middle)) if middle >= self.whole_from else middle

    def options(self, policy: object, value: float) -> dict[str, float | int]:
        """The policy's options at a value."""
        if value >= self.whole_from:
            return {self.names[0]: round(value)}
        now = [getattr(policy, name) for name in self.names]
        # Six digits, rounded down: shares still sum to no more than 1.
        scale = value / sum(now)
        return {
            name: math.floor(share * scale * 1e6) / 1e6
            for name, share in zip(self.names, now, strict=True)
        }
