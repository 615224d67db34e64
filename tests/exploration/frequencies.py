"""How often what is drawn happens, summed over many runs: each draw has its own probability."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from fsim.network.transports.packets import DATAGRAM_PAYLOAD
from fsim.records import Kind
from fsim.settings.fleet import DropoutSettings
from tests.exploration.running import Book

FALSE_ALARM = 1e-9
"""The probability that a sum of fair draws is beyond its bound."""


@dataclass
class Sum:
    """Draws of one kind: how many, how many were expected to happen, the variance, and how many
    did."""

    draws: int = 0
    expected: float = 0.0
    variance: float = 0.0
    happened: int = 0

    def add(self, probability: float, happened: bool) -> None:
        """One more draw."""
        self.draws += 1
        self.expected += probability
        self.variance += probability * (1 - probability)
        self.happened += happened

    def merge(self, other: Sum) -> None:
        """All draws of another sum."""
        self.draws += other.draws
        self.expected += other.expected
        self.variance += other.variance
        self.happened += other.happened

    @property
    def bound(self) -> float:
        """How far from what is expected fair draws are at the most.

        Freedman's inequality: the number of draws may depend on those before, as it does where a
        run ends early.
        """
        log = math.log(2 / FALSE_ALARM)
        return log / 3 + math.sqrt(log**2 / 9 + 2 * self.variance * log)

    @property
    def fair(self) -> bool:
        """Whether it is within the bound."""
        return abs(self.happened - self.expected) <= self.bound


@dataclass
class Tally:
    """Sums by what was drawn and under which protocol."""

    sums: dict[tuple[str, str], Sum] = field(default_factory=dict)
    seeds: set[int] = field(default_factory=set)

    def add(self, book: Book) -> None:
        """The draws of a run; not a second time those of the same scenario's seed."""
        if book.scenario.seed in self.seeds:
            return
        self.seeds.add(book.scenario.seed)
        for what, probability, happened in draws_of(book):
            key = what, book.scenario.protocol.kind
            self.sums.setdefault(key, Sum()).add(probability, happened)

    def merge(self, other: Tally) -> None:
        """All of another tally, of other scenarios."""
        self.seeds |= other.seeds
        for key, more in other.sums.items():
            self.sums.setdefault(key, Sum()).merge(more)

    def unfair(self) -> Iterator[str]:
        """A line for each sum that is out of its bound."""
        for (what, protocol), each in sorted(self.sums.items()):
            if not each.fair:
                yield (
                    f"{what} under {protocol}: {each.happened} of {each.draws}, expected are "
                    f"{each.expected:.1f} and at most {each.bound:.1f} more or less"
                )


def draws_of(book: Book) -> Iterator[tuple[str, float, bool]]:
    """What was drawn in a run, with which probability, and whether it happened."""
    scenario, failures = book.scenario, book.scenario.failures
    if isinstance(scenario.fleet.availability, DropoutSettings):
        for _, _, found in book.seen.vanishings:
            yield "dropout", scenario.fleet.availability.probability, found is not None
    transport = scenario.transport.make()
    loss = float(getattr(transport, "loss", 0.0))
    in_packets = scenario.transport.kind == "datagram"
    received = [row for row in book.rows if row.kind == Kind.RECEIVE]
    if failures.duplicated:
        twice = Counter((r.time_s, r.client) for r in book.rows if '"duplicate"' in r.details)
        for row in received:
            if row.bytes:
                yield "duplication", failures.duplicated, twice[row.time_s, row.client] > 0
                twice[row.time_s, row.client] -= 1
    if in_packets and loss and scenario.billing.adapter_parameters is None:
        sent = {row.bytes for row in book.rows if row.kind == Kind.UPLOAD and row.bytes}
        if sent and max(sent) <= DATAGRAM_PAYLOAD:  # in one packet each
            for row in received:
                yield "loss of a packet", loss, row.bytes == 0
    if failures.corrupted and not in_packets:
        for damaged in book.seen.damaged:
            yield "corruption", failures.corrupted, damaged
