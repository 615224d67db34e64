"""Failures of the server and on the way, decided by time and named streams alone."""

from __future__ import annotations

from dataclasses import dataclass

from fsim.core.rng import stream
from fsim.settings.server import CrashSettings, FailureSettings


@dataclass(frozen=True)
class ServerUptime:
    """Times at which the server is there: it crashes at given ones, and comes back.

    Attributes
    ----------
    crashes
        As the scenario has them.
    """

    crashes: tuple[CrashSettings, ...] = ()

    def back_at(self, time: float) -> float:
        """The earliest time, not before ``time``, at which the server is there, seconds."""
        for crash in sorted(self.crashes, key=lambda crash: crash.at):
            if crash.at <= time < crash.at + crash.down:
                time = crash.at + crash.down
        return time

    def crashed(self, began: float, now: float) -> bool:
        """True if the server went down between two times, and with it every connection."""
        return any(began < crash.at <= now for crash in self.crashes)

    def forgot(self, began: float, now: float) -> bool:
        """True if the server has lost, between two times, what it knew of work in flight."""
        return any(crash.in_flight == "lost" and began < crash.at <= now for crash in self.crashes)


@dataclass(frozen=True)
class PayloadFailures:
    """Damage and doubling of payloads on their way.

    Attributes
    ----------
    seed
        The scenario's.
    settings
        Probabilities of each failure.
    """

    seed: int
    settings: FailureSettings

    def corrupted(self, payload: bytes, *keys: int) -> bytes:
        """The payload as it arrives: one that is damaged has one byte changed.

        The keys are of the asking that it comes from (:func:`fsim.core.rng.participation`).
        """
        if not self.settings.corrupted:
            return payload
        rng = stream(self.seed, "failures.corrupted", *keys)
        if not payload or rng.random() >= self.settings.corrupted:
            return payload
        at, change = int(rng.integers(len(payload))), int(rng.integers(1, 256))
        return payload[:at] + bytes([payload[at] ^ change]) + payload[at + 1 :]

    def duplicated(self, *keys: int) -> bool:
        """True if the payload of an asking arrives twice."""
        if not self.settings.duplicated:
            return False
        rng = stream(self.seed, "failures.duplicated", *keys)
        return bool(rng.random() < self.settings.duplicated)

    def clock_offset(self, client: int) -> float:
        """Seconds that the client's clock is ahead of the server's."""
        if not self.settings.clock_skew:
            return 0.0
        rng = stream(self.seed, "failures.clock", client)
        return float(rng.uniform(-1, 1)) * self.settings.clock_skew
