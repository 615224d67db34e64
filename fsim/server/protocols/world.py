"""What a protocol can ask of the world outside the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import simpy

from fsim.vocabulary import Update


@dataclass(frozen=True)
class Arrival:
    """A client's update as the server decoded it.

    Attributes
    ----------
    weight
        Number of the client's training examples.
    """

    client: int
    weight: float
    update: Update


class World(Protocol):
    """The server's view of clients, models and settings."""

    rounds: int

    def select(self, round_number: int) -> list[int]:
        """The cohort of a round."""
        ...

    def start(self, client: int, round_number: int) -> simpy.Process:
        """Begin a client's round now.

        The process ends when the server knows how it went; its value is an :class:`Arrival`, or
        None for a client that dropped out.
        """
        ...

    def close_round(self, round_number: int, started: float, arrivals: Sequence[Arrival]) -> None:
        """Aggregate what arrived, evaluate, and record the round that ``started`` then."""
        ...
