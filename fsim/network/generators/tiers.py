"""Fixed rates and round trips by which browsers are throttled in tests of web pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tier:
    """One kind of access: uplink in kbit/s, round trip in ms."""

    uplink: int
    round_trip: int


SOURCE = "profile of sitespeed.io throttle"
"""Where the tiers are from (https://github.com/sitespeedio/throttle, README).

They are WebPageTest's connectivity profiles (``www/settings/connectivity.ini.sample``) with half
its round trips for most.
"""

TIERS: dict[str, Tier] = {
    "2g": Tier(256, 400),
    "3g-slow": Tier(400, 200),
    "3g": Tier(768, 150),
    "4g": Tier(9000, 85),
    "lte": Tier(12000, 35),
    "cable": Tier(1000, 14),
    "dsl": Tier(384, 14),
}
"""Name -> tier."""
